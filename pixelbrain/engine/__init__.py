"""Ray: the only room that imports it.

| what        | role
| ----------- | ----
| extract     | Streams the images that are left to do through the modules, and lands a row for each
| passes      | A run on nodes that come and go: a pass over what is left, and another one where some were lost
| dataset     | One pass of Ray Data: blocks of what is left in, through pools of actors, their summaries out
| progress    | How far a run is: what the workers report, added up, for the display, the metrics and the report
| preflight   | Before a run on several nodes: can each import this, read the images, and write to OUT?
| interrupt   | Ctrl-C in two steps: the first lands what is in flight and ends the run, the second ends it at once
| node_loss   | Notices actors that wait for a node that will not come back
| ray_private | What Ray keeps private, asked for in one place
| ask/        | The lane of actors that ask, with one limiter for all of them
| cluster/    | The Ray that the work runs on: found, joined, started, and given jobs
| plan/       | Which actors run where, and whether that fits
| work/       | The work on a block of images; no Ray needs to run for it
"""

"""Ray: the only room that imports it.

| file      | role
| --------- | ----
| dataset   | The streaming pass of Ray Data: blocks of what is left in, through pools of actors, their summaries out
| extract   | Extract: stream the images that are left to do through the modules, and land a row for each
| interrupt | Ctrl-C in two steps: the first asks the run to land what is in flight and to end, the second ends it at
| node_loss | While a pass of Ray Data runs: notice actors that wait for a node that will not come back
| passes    | A run on a cluster whose nodes come and go: a pass over what is left, and another one where nodes were
| preflight | Before a run on several nodes: can each of them import this, read the images, and write to OUT?
| progress  | How far a run is: what the workers report, added up, for the display, the metrics and the report
| ask/      | The lane of actors that ask, with one limiter for all of them
| cluster/  | The Ray that the work runs on: found, joined, started, and given jobs
| plan/     | Which actors run where, and whether that fits
| work/     | The work on a block of images; no Ray needs to run for it
"""

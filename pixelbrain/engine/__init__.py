"""Ray: the only room that imports it.

| what | file | role |
| --- | --- | --- |
| `ExtractReport` | extract | streams the images that are left to do through the modules, and lands a row for each |
| `Passes` | passes | a run on nodes that come and go: a pass over what is left, and another one where some were lost |
| `choose_executor` | choose | who does the work: Ray, or, for little of it, processes of our own |
| `Executor` | executor | what a run needs of either |
| `RayExecutor` | on_ray | the one on Ray |
| `Crew` | dataset | one pass of Ray Data: blocks of what is left in, through pools of actors, their summaries out |
| `Progress` | progress | how far a run is: what the workers report, added up |
| `check_shared` | preflight | before a run on several nodes: can each import this, read the images, and write to OUT? |
| `on_ray` | shards | work in shards that need the same tensors: in threads here, or as tasks on all nodes |
| `Interrupt` | interrupt | Ctrl-C: the first lands what is in flight and ends the run, the second ends it at once |
| `landed_dataset` | landed | what has landed, as a dataset of Ray's |
| `actors_restarting` | ray_private | what Ray keeps private, asked for in one place |
| a room | ask/ | the lane of actors that ask, with one limiter for all of them |
| a room | cluster/ | the Ray that the work runs on: found, joined, started, and given jobs |
| a room | local/ | the executor without Ray, on this machine alone |
| a room | plan/ | which actors run where, and whether that fits |
| a room | work/ | the work on a block of images; no Ray needs to run for it |
"""

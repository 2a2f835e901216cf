"""The stages over one OUT, one after another, for the command line, the apps and Python alike.

| what                    | file       | role
| ----------------------- | ---------- | ----
| `dry_run`, `ask_batch`  | asking     | asking about what has landed: a look at the price, and the Batch API
| `recorded_config`, ...  | configured | settings, as OUT has them, and the modules, questions, weights that they name
| `Context`               | context    | what the stages are about: OUT, settings, images, modules, questions
| `Display`, `LogDisplay` | display    | where people are told how far a stage is: on a terminal, in a notebook, a log
| `export_coco`, ...      | export     | OUT as a data set in another program's format
| `extract_passes`        | extracting | the passes of an extract, over all images and over those that are meant
| `check_filters`         | filters    | are the names of a run's expressions known when they are asked for?
| `forget`                | forget     | erase people, faces and photos from OUT, the stores and the gallery
| `load_apart`            | load_apart | both stores are filled in a process that never held what was erased
| `preflight`             | preflight  | before any work: is all there that the stages need?
| `Stages`                | stages     | each stage takes the lock, shows progress, and enters in run.json what it did
| `tell_...`              | wording    | what people are told of a stage that is done
"""

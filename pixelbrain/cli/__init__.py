"""The `pixelbrain` command: each file parses, calls the library, and prints.

| file              | role
| ----------------- | ----
| ask               | `pixelbrain ask`: questions about landed images, to GPT-4 Vision
| cluster           | `pixelbrain cluster`: a Ray on this machine that several commands share
| main              | The `pixelbrain` command: each subcommand parses, calls the library, and prints
| options           | What the commands share: their options, and how an error becomes one line and an exit code
| placement_options | The options that say where on a cluster the work goes
| plan              | `pixelbrain plan`: what a run would do, and whether it fits
| submit            | `pixelbrain submit`: another command of ours as a job on a Ray cluster, with its log here and its
| upkeep            | `pixelbrain status`, `verify` and `compact`: what is in OUT, whether all agrees, and keeping it
| weights           | `pixelbrain weights`: which weights each model wants, from where, and whether they are here
"""

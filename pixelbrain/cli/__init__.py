"""The `pixelbrain` command: each file parses, calls the library, and prints.

| file         | role
| ------------ | ----
| ask          | `ask`: questions about landed images, to GPT-4 Vision
| cluster      | `cluster up`, `down` and `status`: a Ray on this machine that several commands share
| main         | The group of all commands
| options      | What they share: options, most of them derived from the settings of a run, and errors as one line
| results      | `report`, `export` and `search`: what others read of OUT
| run          | `demo`, `run`, `extract` and `plan`: from a source to OUT, and what that would take
| stores       | `load`, `identify` and `group`: the stages between OUT and the stores
| submit       | `submit`: another command as a job on a Ray cluster, with its log here
| tag_identity | `tag_identity`: the prebuilt app, with the flags of its predecessor
| upkeep       | `status`, `verify` and `compact`: what is in OUT, whether all agrees, and keeping it small
| weights      | `weights list`, `fetch` and `verify`: which weights each model wants, and whether they are here
"""

"""The `pixelbrain` command: each file parses, calls the library, and prints.

| what                             | file         | role
| -------------------------------- | ------------ | ----
| `ask`                            | ask          | questions about landed images, to GPT-4 Vision
| `cluster`                        | cluster      | a Ray on this machine that several commands share
| `evaluate`                       | evaluate     | how well people were found, against labels
| all of them                      | main         | the group of all commands
| what they share                  | options      | options, most of them from `RunConfig`; errors as one line
| `people`                         | people       | name, merge, split, hide and correct people
| `open`                           | results      | the page to work in
| `report`, `export`, `search`     | results      | what others read of OUT
| `demo`, `run`, `extract`, `plan` | run          | from a source to OUT, and what that would take
| `load`, `identify`, `group`      | stores       | the stages between OUT and the stores
| `status`, `verify`, `compact`    | stores       | what is in OUT, whether all agrees, and keeping it small
| `forget`                         | stores       | erase a person, faces or photos
| `submit`                         | submit       | another command as a job on a Ray cluster, with its log here
| `tag_identity`                   | tag_identity | the prebuilt app, with the flags of its predecessor
| `weights`                        | weights      | which weights each model wants, and whether they are here
"""

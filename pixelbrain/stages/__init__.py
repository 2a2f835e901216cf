"""The stages over one OUT, one after another, for the command line, the apps and Python alike.

| file       | role
| ---------- | ----
| asking     | Asking about what has landed: through the Batch API, and a look at the price
| configured | The settings of a run, as run.json has them, and the loader and modules that they stand for
| display    | Where people are told how far a stage is: a bar, lines of text, or the log
| stages     | The stages: each takes the lock, shows its progress, and enters in run.json what it did
| wording    | What people are told of a stage that is done
"""

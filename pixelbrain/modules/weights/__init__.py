"""Weights: which there are, where they are, and how they get here.

| file       | role
| ---------- | ----
| download   | Download one file over HTTP to a temporary name, check it, and only then give it its name
| find       | Find, fetch and verify weights: where each file of the table is on this machine, and whether it is right
| model_file | One file of weights as a module holds it: the published one or the user's own, found late, and its sha256
| table      | The weights that each model wants: the table of their files, sizes and sha256
"""

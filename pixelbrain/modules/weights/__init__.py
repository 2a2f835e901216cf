"""Weights: which there are, where they are, and how they get here.

| what | file | role |
| --- | --- | --- |
| `download` | download | one file over HTTP: checked before it gets its name |
| `ModelFile` | find | where each file of the table, or a user's own, is, and whether it is right |
| `WeightsFile` | table | the weights that each model wants: the table of their files, sizes and sha256 |
"""

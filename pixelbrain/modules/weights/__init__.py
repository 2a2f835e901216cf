"""Weights: which there are, where they are, and how they get here.

| what | file | role |
| --- | --- | --- |
| `download` | download | one file over HTTP: checked before it gets its name |
| `WeightsState` | find | where each file of the table is, and whether it is right |
| `ModelFile` | model_file | one file as a module holds it, published or the user's own, and its sha256 |
| `WeightsFile` | table | the weights that each model wants: the table of their files, sizes and sha256 |
"""

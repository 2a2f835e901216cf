"""Words: what CLIP reads of texts, and the labels that it is to choose from.

| what | file | role |
| --- | --- | --- |
| `Labels` | labels | a file of labels: what each is, in prompts, and what it is if none fits |
| `import_open_clip` | open_clip | import open_clip without timm, which few of its models want |
| `ClipModel` | towers | one of open_clip's models: its files, its preprocessing, and its two towers |
"""

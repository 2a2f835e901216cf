"""Which images of an OUT are meant: one expression language over what is known of them, wherever something is chosen.

| what | file | role |
| --- | --- | --- |
| `DataLoader` | loader | the images of a source or an OUT, chosen by what is known of them |
| `Where`, `Condition` | language | the language: a small expression, checked and applied to columns without `eval` |
| `read_tree` | reading | from its text to a tree, and what is said where it cannot be read |
| `read_where` | names | the names that it knows: columns that landed, answers, people, groups, and users' fields |
"""

"""Which images of an OUT are meant: one expression language over what is known of them, wherever something is chosen.

| what | file | role |
| --- | --- | --- |
| `Where` | language | the language: a small expression, checked and applied to columns without `eval` |
| `read_where` | names | the names that it knows: columns that landed, answers, people, groups, and users' fields |
"""

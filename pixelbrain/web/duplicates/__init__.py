"""Duplicates and look-alikes: the best of each group is proposed, somebody chooses, and nothing is deleted.

| what | file | role |
| --- | --- | --- |
| `Alike` | alike | what was found and chosen, for all browsers; looks for duplicates beside the pages |
| `Groups` | groups | groups in memory, in an order that choices do not change |
| `groups_page`, `compare_page` | page | the groups, two photos side by side, and the lists to take away |
| `choose` | say | what a form says becomes a choice, and a sentence about it |
"""

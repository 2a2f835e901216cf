"""What is there more than once, as it was found and as somebody chose since.

| what | file | role |
| --- | --- | --- |
| `ChoiceLog`, `Choice` | choices | which are kept, dropped, the best, or no duplicates: an event each |
| `read_duplicates` | read | the groups that fit what is there, with what was chosen |
"""

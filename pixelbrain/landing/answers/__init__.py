"""Answers under OUT: journalled as they come, folded into Parquet.

| what | file | role |
| --- | --- | --- |
| `open_journal` | journal | lines of JSON that one process writes as its answers come, whatever is killed |
| `AnswerLog` | log | the answers of an OUT: journals folded into Parquet a field, read, and added up |
| `PlacedAnswers` | placed | where each image's newest answers are, to be read batch by batch |
| `AnswerMemory` | log | what was answered before, by key, and the journal: nobody pays for one twice |
"""

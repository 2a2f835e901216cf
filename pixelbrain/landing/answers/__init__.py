"""Answers under OUT: journalled as they come, folded into Parquet.

| file    | role
| ------- | ----
| journal | Lines of JSON that one process writes as its answers come, whatever is killed
| log     | The answers of an OUT: journals folded into Parquet a field, read, and added up
| memory  | What was answered before, by key, and the journal: nobody pays for one twice
"""

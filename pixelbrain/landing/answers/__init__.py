"""Answers under OUT: journalled as they come, folded into Parquet.

| file    | role
| ------- | ----
| journal | Journals of answers: lines of JSON that one process writes as its answers come, whatever is killed
| log     | OUT/answers: what was asked and answered, journalled line by line as it comes, then folded into Parquet a
| memory  | What was answered before, by key, and the journal that new answers go to: nobody pays for one twice
"""

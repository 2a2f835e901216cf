"""Who may write: locks on a disk and in S3, and who holds them.

| file    | role
| ------- | ----
| folder  | One process at a time for an embedded store; within that process, shared by count
| object  | A lock in S3: a claim that its owner writes again and again, and that counts as dead when it stays the same
| owner   | Who holds a lock: for the message to whom it is refused, and to see that a holder is dead
| process | Locks that one process holds at a time, and within it any number of holders; and how to hold a file as one
| run     | One run at a time on one OUT, on whatever machines they are
"""

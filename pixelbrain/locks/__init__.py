"""Who may write: locks on a disk and in S3, and who holds them.

| what | file | role |
| --- | --- | --- |
| `Owner` | owner | who holds a lock: for the message to whom it is refused, and to see that a holder is dead |
| `ProcessLock` | process | what all locks share: one process holds it, and within that any number of holders |
| `FolderLock` | file | a locked file with its owner beside it: the lock of a store's folder, and of an OUT on a disk |
| `ObjectHold` | object | a lock in S3: a claim that its owner writes again and again; one that stays the same is dead |
| `RunLock` | run | one run at a time on one OUT, on whatever machines |
"""

"""A run without Ray: the same workers, in processes of this machine.

| what | file | role |
| --- | --- | --- |
| `LocalExecutor` | executor | hands out blocks to workers, and those of one that died to the one in its place |
| `Worker` | worker | one such process: as its parent sees it, and itself, with no life without the parent |
"""

"""What people said, in the order in which they said it.

| what | file | role |
| --- | --- | --- |
| `EventLog`, `active`, `parse_event` | events | one small file an event, appended; those that hold |
"""

"""Which faces are good enough to say who they are.

| what | file | role |
| --- | --- | --- |
| `QualityGate` | gate | what a face needs to join people, and what of it is not good enough |
| `measure_pose`, `turned_or_covered` | pose | which way a face looks, by its landmarks; faces that do not look at us |
"""

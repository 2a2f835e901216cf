"""Asking at once: many requests in flight, each with its tries.

| what | file | role |
| --- | --- | --- |
| `Asker` | asker | asks about images, many at a time: prepares, remembers, asks, journals |
| `Requester` | requester | one request about one image, with all its tries, until it has an outcome |
"""

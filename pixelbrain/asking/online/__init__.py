"""Asking at once: many requests in flight, each with its tries.

| file      | role
| --------- | ----
| asker     | Asks about images, many at a time: prepares, remembers, asks, journals
| report    | What a run of asking came to
| requester | One request about one image, with all its tries, until it has an outcome
"""

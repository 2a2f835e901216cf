"""The gallery: static pages that open from disk, without a network.

| file       | role
| ---------- | ----
| items      | What is shown: photos, faces, people, labels, groups, failures; without a vector
| links      | Where things are inside the report, seen from a page, and what they are called
| names      | How an image id is shown, linked to and turned into a file name
| originals  | Reads originals, and gives up on a place that does not answer
| pages      | Which pages there are, and what stands on each
| reader     | Reads the items from the landed tables, in one streaming pass
| site       | Renders templates to files: the Jinja environment, pagination, stale pages
| thumbnails | Thumbnails and face crops, made once and kept while their photo is the same
"""

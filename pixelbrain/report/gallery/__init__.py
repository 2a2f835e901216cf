"""The gallery: static pages that open from disk, without a network.

| file       | role
| ---------- | ----
| data       | What the gallery shows: photos, faces, people, labels, groups, failures; without a vector
| links      | Where things are inside the report, as a page at some depth links to them, and what they are called
| names      | How an image id is shown, linked to and turned into a file name; everything here is text from strangers
| originals  | Reads originals for the gallery, and gives up on a place that does not answer
| pages      | The gallery: which pages there are, and what stands on each
| reader     | Reads what the gallery shows from the landed tables, in one streaming pass
| site       | Renders templates to files: the Jinja environment, links relative to a page, pagination, stale pages
| thumbnails | Thumbnails and face crops as files: made once, kept while their photo is the same, removed when it is
"""

"""The gallery: static pages that open from disk, without a network.

| what | file | role |
| --- | --- | --- |
| `camera_values` | camera | what a card says of a photo's camera, time and place |
| `Photo`, `Library` | items | what is shown: photos, faces, people, labels, groups, failures; without a vector |
| `display_names`, `slug` | names | how an image id is shown, linked to and turned into a file name |
| `OriginalReader` | originals | reads originals, and gives up on a place that does not answer |
| `build_gallery` | pages | which pages there are, and what stands on each |
| `read_library` | reader | reads the items from the landed tables, in one streaming pass |
| `Links` | site | where things are inside the report, seen from a page, and what they are called |
| `Site` | site | renders templates to files: the Jinja environment, pagination, pages that are as before |
| `Spool` | spool | photos in a temporary file, so that memory does not hold them all |
| `make_thumbnails` | thumbnails | thumbnails and face crops, from what extract landed or the originals, made once |
"""

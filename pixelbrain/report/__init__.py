"""What people look at: the gallery, exports and search.

| what | file | role |
| --- | --- | --- |
| `write_crops` | crops | a page of face crops beside what is asked about them |
| `export` | export | the tables as one file for other programs: CSV, JSON lines or Parquet |
| `write_coco`, `write_shards` | exports/ | all as a data set in another program's format |
| `shown_from` | labels | the probability from which on a label is shown as such; below it a photo is unsure |
| `EXPORT_TABLES` | tables | what is exported: images, faces, people, groups, answers, in columns for any format |
| `search` | search | the nearest faces and whose they are, or the nearest images, to the vectors of a photo |
| `build_gallery` | gallery/ | the gallery: static pages that open from disk, without a network |
"""

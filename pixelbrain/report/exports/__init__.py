"""OUT as data sets in other programs' formats.

| what | file | role |
| --- | --- | --- |
| `write_coco` | coco | images, faces and people as one JSON of the COCO format |
| `Contents` | contents | an image with all that is known of it, as values that JSON has: what the formats are made of |
| `write_shards` | shards | photos and what is known of them in tar files as WebDataset reads them, on disk or in S3 |
| `ShardIndex` | shard_index | which tar files are whole, and of what: an export that was cut short goes on from there |
"""

"""MongoDB: documents of images, without vectors.

| what | file | role |
| --- | --- | --- |
| `read_uri`, `why_no_answer` | causes | why a MongoDB cannot be used, each cause with its way out |
| `MongoConnection` | connection | MongoDB of one OUT, a server or our own mongod: opened, waited for, closed |
| `read_rows` | csv_rows | rows of a CSV as documents: ids checked, bad rows told |
| `store_identities`, `store_groups` | derived | people and groups, from their tables into the documents |
| `documents`, `encode` | documents | landed rows as documents; encoding, and why MongoDB cannot have one |
| `EmbeddedMongo` | embedded | a mongod of our own with its files in OUT, shared within the process |
| `store_field`, `check_filter` | fields | store, read, find, count and export fields of the images |
| `write_files_anew` | fresh | the files of a mongod of our own, written anew: the old ones keep what was deleted |
| `DocumentLoad` | load | the MongoDB half of a load |
| `MongodProcess` | mongod | one mongod process: find the binary, start it, stop it, leave none behind |
| `upsert_images` | upsert | documents in bulk, so that a bad one costs only itself; the indexes |
| `DocumentCheck` | verify | are the documents what Parquet says? |
"""

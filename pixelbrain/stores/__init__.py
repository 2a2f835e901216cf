"""MongoDB for fields and ChromaDB for vectors, behind one Database.

| file             | role
| ---------------- | ----
| address          | Addresses of servers: which kind one is, the database in it, and when there has to be one
| database         | `Database`: MongoDB for fields and ChromaDB for vectors, behind one class
| in_step          | Whether the stores are in step with Parquet, by what the last load remembers
| ledger           | Which ids were seen: 8 bytes each in a temporary file, for tables of any length
| load             | From Parquet, the truth, into both stores, until they hold the same
| load_record      | What a load remembers in MongoDB of what it wrote
| parallel_writers | One thread a store: all get the same batches, and none runs far ahead
| reconnect        | Wait for a server that restarts, within a limit, and do the last step again
| results          | What a write did, in either store
| vectors          | Vectors out of landed rows, with the metadata that ChromaDB keeps
| verify           | Do the stores hold what Parquet holds? Row by row; nothing is changed
| verify_report    | The differences, counted by kind, with the first few ids of each
| chroma/          | ChromaDB: vectors of images and faces
| mongo/           | MongoDB: documents of images, without vectors
"""

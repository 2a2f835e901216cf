"""MongoDB for fields and ChromaDB for vectors, behind one Database.

| what | file | role |
| --- | --- | --- |
| `database_name`, `require_servers` | address | addresses of servers: kind, database, when there must be one |
| `Database` | database | MongoDB for fields and ChromaDB for vectors, behind one class |
| `store_state` | in_step | whether the stores are in step with Parquet, by what the last load remembers |
| `IdLedger` | ledger | which ids were seen: 8 bytes each in a temporary file, for tables of any length |
| `load` | load | from Parquet, the truth, into both stores, until they hold the same |
| `landed_digest`, `vectors_behind` | load_record | what a load remembers of what it wrote, beside what landed |
| `write_in_parallel` | parallel_writers | one thread a store: all get the same batches, and none runs far ahead |
| `ride_out` | reconnect | wait for a server that restarts, within a limit, and do the last step again |
| `WriteResult` | results | what a write did, in either store |
| `VectorBatch`, `landed_vectors` | vectors | vectors out of landed rows, with the metadata that ChromaDB keeps |
| `verify` | verify | do the stores hold what Parquet holds? Row by row; nothing is changed |
| `VerifyReport` | verify_report | the differences, counted by kind, with the first few ids of each |
| `VectorStore` | chroma/ | ChromaDB: vectors of images and faces |
| documents | mongo/ | MongoDB: documents of images, without vectors |
"""

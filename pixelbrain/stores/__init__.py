"""MongoDB for fields and ChromaDB for vectors, behind one Database.

| file          | role
| ------------- | ----
| address       | Addresses of servers: which kind one is, the name of the database in it, and when there has to be one
| connections   | The two stores of an OUT: opened when first needed, watched while in use, closed together
| convert       | Landed rows, as MongoDB and ChromaDB want them: documents without vectors, and vectors with a little
| database      | `Database`: MongoDB for fields and ChromaDB for vectors, behind one class
| in_step       | Whether the stores are in step with Parquet: what a load remembers of it, compared with what is there
| ledger        | Which ids were seen: 8 bytes each in a temporary file, so that a table of any length can be remembered
| load          | Load: from Parquet, the truth, into MongoDB and ChromaDB, until they hold the same
| meta          | What a load remembers in MongoDB of what it wrote, to be compared with what is in OUT later
| reconnect     | A database server that restarts under a long load: wait for it, within a limit, and do the last step
| side_by_side  | Writers abreast: each takes the same batches in the same order, in a thread of its own, and none runs
| verify        | Verify: do MongoDB and ChromaDB hold what Parquet holds? Row by row, and nothing is changed
| verify_report | What differs between Parquet and the stores, counted by kind, with the first few ids of each
| chroma/       | ChromaDB: vectors of images and faces
| mongo/        | MongoDB: documents of images, without vectors
"""

"""ChromaDB: vectors of images and faces.

| what | file | role |
| --- | --- | --- |
| `connect`, `open_folder` | client | a client, embedded or remote, with a limit on every wait and named errors |
| `ChromaVectors` | fields | the vectors of an OUT, opened when they are needed; those of a user's own, too |
| `VectorStore` | collections | two collections in cosine space, each of one model |
| `ChromaConnection` | connection | one ChromaDB: opened when needed, examined from outside, set aside if damaged |
| `examine_collections` | health | does a collection hold what it should, and does each vector find itself? |
| `examine_folder` | health_process | the process in which that is asked, as a damaged index may crash it |
| `find_server` | heartbeat | which server answers, and whether its version works, asked without chromadb |
| `land_vectors` | own_vectors | vectors that a user computed elsewhere, as a column of OUT |
| `VectorLoad` | load | the ChromaDB half of a load; a damaged index is written again |
| `CollectionCheck` | verify | are the vectors what Parquet says? |
"""

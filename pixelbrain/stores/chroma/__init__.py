"""ChromaDB: vectors of images and faces.

| file           | role
| -------------- | ----
| batches        | Vectors into one collection and out of it again, in batches that it takes
| client         | A client, embedded or remote, with a limit on every wait and named errors
| collections    | `VectorStore`: two collections in cosine space, each of one model
| connection     | One ChromaDB: opened when needed, examined from outside, set aside if damaged
| health         | Does a collection hold what it should, and does each vector find itself?
| health_process | The process in which that is asked, as a damaged index may crash it
| load           | The ChromaDB half of a load; a damaged index is written again
| verify         | Are the vectors what Parquet says?
"""

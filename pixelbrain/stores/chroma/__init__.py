"""ChromaDB: vectors of images and faces.

| file           | role
| -------------- | ----
| access         | One ChromaDB, a folder or a server: opened when needed, looked at from outside, set aside when it is
| client         | A ChromaDB client, embedded or remote: opened with a limit on every wait, telemetry off, named errors
| collections    | ChromaDB: two vector collections in cosine space, each of one model, written by one process at a time
| health         | A look at a vector collection: does it hold what it should, and does each vector find itself?
| health_client  | Ask a fresh process what it finds in a folder of ChromaDB; one that crashes on it is a finding, too
| health_process | `python -m pixelbrain.stores.chroma.health_process`: looks at folders of ChromaDB, and survives what
| load           | The ChromaDB half of a load: landed vectors go in, others go, and a damaged index is written again
| rows           | Vectors into one ChromaDB collection and out of it again, in batches that it takes
"""

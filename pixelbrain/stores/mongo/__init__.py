"""MongoDB: documents of images, without vectors.

| file       | role
| ---------- | ----
| client     | A client of a server, the indexes, and errors that name the way out
| connection | MongoDB of one OUT, a server or our own mongod: opened, waited for, closed
| derived    | People and groups, from their tables into the documents
| documents  | Landed rows as documents; encoding, and why MongoDB cannot have one
| embedded   | A mongod of our own with its files in OUT, shared within the process
| fields     | Store, read, find, count and export fields of the images
| load       | The MongoDB half of a load
| mongod     | One mongod process: find the binary, start it, stop it, leave none behind
| upsert     | Documents in bulk, so that a bad one costs only itself
| verify     | Are the documents what Parquet says?
"""

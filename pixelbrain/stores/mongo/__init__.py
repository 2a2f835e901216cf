"""MongoDB: documents of images, without vectors.

| file      | role
| --------- | ----
| client    | MongoDB: connect by URI, indexes, and errors that name the server and the way out
| documents | Documents into MongoDB, in bulk, so that a bad one costs only itself
| embedded  | MongoDB without a server to set up: a mongod of our own with its files in OUT, shared within the process
| fields    | Fields of the images in MongoDB: store, read, find, count, and write them to a CSV file
| load      | The MongoDB half of a load: landed rows become documents, and documents without a row go
| mongod    | One mongod process on a free loopback port: find the binary, start it, wait for it, stop it, leave none
| people    | Who is in which image, and which images are alike: from their tables into MongoDB's documents
| verify    | Are MongoDB's documents what Parquet says? Each compared by a hash of the fields that landed
"""

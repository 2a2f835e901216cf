"""Disk and S3 behind one interface: files there are complete or absent, whatever is killed.

| what | file | role |
| --- | --- | --- |
| `check_format` | format | which format OUT is of: an older one is read, a newer one refused |
| `Storage` | base | the interface, and what goes wrong with a file |
| `LocalStorage` | local | a folder of a disk: files are written beside their name, flushed to the disk, then renamed |
| `S3Storage` | s3 | a prefix in S3: a file is one object, written by one PUT |
| `open_object` | s3_file | an object as a file that can be sought in: its end in one request, the rest in ranges |
| `s3_client` | s3_client | the client of an endpoint, whose credentials are known before it is used and reach no log |
| `explain_s3` | s3_errors | what S3 servers answer, in one line with the way out; and which of it passes by itself |
| `path_to_uri` | file_uri | what a file:// URI names, and back |
| `split_s3_uri` | s3_uri | what an s3:// URI names, and what an object's version is |
| `with_retries` | retry | trying again, within a limit in tries and in time |
| `open_storage` | open | which storage OUT names |
| `write_table` | tables | a table as one file for other programs: CSV, JSON lines or Parquet |
"""

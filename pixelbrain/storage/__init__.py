"""Disk and S3 behind one interface: files there are complete or absent, whatever is killed.

| file      | role
| --------- | ----
| base      | Where OUT is: a folder, or a prefix in S3
| local     | OUT in a folder of a disk: written under a temporary name, flushed to the disk, then renamed
| open      | Which storage OUT names: a folder, or a prefix in S3
| retry     | Trying again: with growing, random waits, within a limit in tries and in time
| s3        | OUT under a prefix in S3: a file is one object, written by one PUT, and read in ranges
| s3_client | A client of S3: whose credentials it has is known before it is used, and they reach no log
| s3_errors | What S3 and its imitators answer, in one line that names the way out; and which of it passes by itself
| s3_uri    | What an s3:// URI names, and what an object's version is
| tables    | A table as one file for other programs: CSV, JSON lines or Parquet
"""

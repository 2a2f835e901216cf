"""Images inside other files: members of tar files, each of which is read by its range, and rows of Parquet files.

| what | file | role |
| --- | --- | --- |
| `ArchiveSource` | source | the images in archives that another source finds |
| `read_member` | read | the bytes of an image in an archive, and the version that they are of |
| `member_uri` | names | the ids of images in archives |
| `open_ranged` | ranged | an archive as a file that can be sought in, and its version |
| `tar_members` | tar | what is in a tar file, by its headers, and whether it is whole |
| `parquet_members` | parquet | images in a column of Parquet files, read a row group at a time |
"""

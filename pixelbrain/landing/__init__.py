"""Parquet under OUT: the truth, from which the stores can be rebuilt.

| file         | role
| ------------ | ----
| columns      | Rows of part files by where they are, and answers by their image: the columns of what a reader of OUT
| compact      | Merge the small part files of OUT into large ones, and drop what newer rows replaced; safe to kill at
| compact_plan | Which part files `compact` replaces, and by which rows: from the index and the files' footers alone
| digests      | Ids as digests in numpy arrays: 16 bytes an id and no Python object, so that ten million of them fit
| generations  | The numbers of runs: each greater than all before it, also than that of a run that was killed with
| index        | Which part file holds the newest row of each image, and the newest column of each module
| landing      | OUT as a table: land rows, and read each image exactly once however many runs wrote about it
| parts        | Part files: what one run landed, complete or absent, with what computed it in its metadata
| prune        | Take images that are gone from their source out of OUT: a tombstone each, which hides all older rows
| reader       | A few columns of many part files, one file after another, while the next ones are being fetched
| remaining    | What is left to do: the listed images minus those that have landed, module by module, in little memory
| answers/     | Answers under OUT: journalled as they come, folded into Parquet
"""

"""Parquet under OUT: the truth, from which the stores can be rebuilt.

| what | file | role |
| --- | --- | --- |
| `Landing` | landing | OUT as a table: land rows, and read each image once, however many runs wrote about it |
| `Part`, `claim_generation` | parts | part files: what one run landed, and what computed it; the numbers of runs |
| `read_layers`, `scan_columns` | reader | the reader of part files: each opened once a pass, the next fetched ahead |
| `LandedIndex` | index | which part file holds each image's newest row, and each module's newest column |
| `Remaining` | remaining | what is left to do: the listed images minus those that landed, module by module |
| `DigestTable` | digests | ids as 16 bytes in numpy arrays, so that ten million of them fit in memory |
| `DerivedTable` | derived | people and groups under OUT: only rows that fit what is there now are read |
| `compact` | compact | merge small part files and drop what newer rows replaced; safe to kill at any moment |
| `publish` | published | what other programs read: one row an image, one a face, of one schema, at the end of a stage |
| `EventLog` | said/ | what people said: one small file an event, appended, in one order |
| `read_duplicates` | duplicates/ | what is there more than once, as it was found and as somebody chose since |
| `join_results` | faces | what modules say of faces that another one found, joined to these |
| `Registry` | registry | the people of OUT for life: names, who is hidden, who became whom |
| `prune` | remaining | take images that are gone from their source out of OUT |
| `Where` | where/ | which images are meant: one language over what is known of them; a loader of such |
| `AnswerLog` | answers/ | answers under OUT: journalled as they come, folded into Parquet |
| `Marks`, `erase` | forgotten/ | what was forgotten: kept from coming back, and taken out of all files |
| `KnownBytes`, `Moves` | moves/ | photos known by their bytes, whatever they are called now, and what goes along |
"""

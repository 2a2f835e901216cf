"""Photos that are there more than once: copies, near copies and bursts, and which of them to keep.

| what | file | role |
| --- | --- | --- |
| `found_alike` | alike | groups of images that look alike, with the best of each |
| `Judge` | best | which photo of several is the best one, and why |
| `find_duplicates` | duplicates | groups of duplicates in OUT, each with the best one, landed in `OUT/duplicates` |
| `near_hashes` | hashes | pairs of hashes that differ in few bits, without comparing all |
| `copies`, `bursts` | links | which photos are copies of which, and which are one burst |
| `read_photos` | photos | what landed of each photo that says so, and whether it is the best |
"""

"""Who is who: clusters over the face vectors.

| what | file | role |
| --- | --- | --- |
| `assign` | assign | vectors to clusters: duplicates, neighbours, clusters, a second look |
| `Cells` | cells | nearest neighbours of many vectors, without comparing all pairs |
| `NeighbourGraph` | cluster | average linkage on a neighbour graph, and the predecessor's DBSCAN and pairwise |
| `People`, `Memory` | corrections/ | what people say about people, and ids that stay |
| `score_clusters` | evaluate | pairwise and BCubed precision, recall and F |
| `group_images` | group | images that look alike, by the same graph and linkage |
| `grow` | growth | new faces among known people, by what they touch alone |
| `read_apart`, `chained_apart` | links | what people said: faces that are never one person's |
| `nearest_neighbours` | neighbours | nearest by cosine: exact up to a quarter of a million vectors, by cells above |
| `PeopleIdentifierModule` | people | who is who, over the face vectors of a database |
| `join_singles` | second_look | a face alone joins what is clearly nearest; small unsure clusters fall apart |
| `threshold_of` | thresholds | how alike is the same: one cosine a model and strategy, or as labelled photos say |
| a room | evaluation/ | how well people were found: against labels, at this threshold and at others |
| a room | lookalikes/ | photos that are there more than once: copies, near copies, bursts, and the best of each |
| a room | mapping/ | all photos, or all faces, as points of a plane, where what is alike lies together |
| a room | quality/ | which faces are good enough to say who they are |
| a room | naming/ | names that travel: CSV files and XMP sidecars, written and read |
"""

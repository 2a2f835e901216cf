"""Who is who: clusters over the face vectors.

| what | file | role |
| --- | --- | --- |
| `assign` | assign | vectors to clusters: duplicates, neighbours, clusters, a second look |
| `best_in_cells` | cells | nearest neighbours of many vectors, without comparing all pairs |
| `NeighbourGraph` | cluster | average linkage on a neighbour graph, and the predecessor's DBSCAN and pairwise |
| `score_clusters` | evaluate | pairwise and BCubed precision, recall and F |
| `group_images` | group | images that look alike, by the same graph and linkage |
| `Links` | links | what people said: faces that are one person's, and that never are |
| `nearest_neighbours` | neighbours | nearest by cosine: exact up to a quarter of a million vectors, by cells above |
| `PeopleIdentifierModule` | people | who is who, over the face vectors of a database |
| `QualityGate` | people | which faces are good enough to say who they are |
| `join_singles` | second_look | a face alone joins what is clearly nearest; small unsure clusters fall apart |
| `face_threshold` | thresholds | how alike is the same: one cosine threshold a model and strategy |
"""

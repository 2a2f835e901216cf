"""Who is who: clusters over the face vectors.

| file        | role
| ----------- | ----
| assign      | Vectors to clusters, whatever they show: duplicates, neighbours, clusters, and a second look at what is
| cluster     | Clusters on a neighbour graph: average linkage, and the predecessor's DBSCAN and pairwise beside it
| evaluate    | How well found people match the true ones: pairwise and BCubed precision, recall and F
| group       | Visual groups: images that look alike, by the neighbour graph and the linkage that find people
| neighbours  | Nearest neighbours by cosine: exact in blocks up to a quarter of a million vectors, the vector index
| people      | `PeopleIdentifierModule`: who is who, over the face vectors of a database
| quality     | Which faces are good enough to say who they are
| second_look | What average linkage left alone: a face joins the cluster that is clearly nearest, a little beyond the
| thresholds  | How alike two vectors of a model are when they show the same: one cosine threshold a model and strategy
"""

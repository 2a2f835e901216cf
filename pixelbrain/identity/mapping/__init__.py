"""Maps: all photos, or all faces, as points of a plane, where what is alike lies together.

| what | file | role |
| --- | --- | --- |
| `make_map` | map | the map of some vectors that landed, landed in `OUT/maps` |
| `lay_out` | pacmap | vectors as points of a plane |
"""

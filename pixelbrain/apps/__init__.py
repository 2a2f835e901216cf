"""Small programs made of the stages.

| what           | file         | role
| -------------- | ------------ | ----
| `run_demo`     | demo         | the whole job on the photos that come along, with models that come inside packages
| `search_photo` | photo_search | the nearest to one photo, whose vectors landed or are made by the same model
| `evaluate_people` | evaluate  | how well the people of OUT match labels; the threshold curve, and the one that is kept
| `plan_run`     | plan         | what a run would do, without running it, and whether it fits
| `read_status`  | status       | what is in OUT, and whether the stores are in step with it
| `tag_identity` | tag_identity | who is in which photo, from a folder to a CSV; the predecessor's app on this engine
"""

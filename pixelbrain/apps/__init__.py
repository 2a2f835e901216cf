"""Small programs made of the stages.

| file         | role
| ------------ | ----
| demo         | The whole job on the photos that come along, with models that come inside packages
| photo_search | Search by photo: the model that made the vectors, run on one photo, and the nearest of them
| plan         | What a run would do, without running it: images left, pools of actors, and whether they fit
| status       | What is in OUT, and whether the stores are in step with it
| tag_identity | Who is in which photo, from a folder to a CSV; the predecessor's app on this engine
"""

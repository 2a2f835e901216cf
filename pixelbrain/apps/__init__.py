"""Small programs made of the stages: the demo, tag_identity, plan, status and search by photo.

| file         | role
| ------------ | ----
| demo         | The demo: the main job on the photos that come along, with models that come inside packages
| photo_search | Search by photo: run the model that made the vectors on one photo, and ask ChromaDB for the nearest
| plan         | What a run would do, without running it: images left, pools of actors, what they reserve, and whether
| status       | What is in OUT: images, failures by kind, faces, people, and whether the stores are in step with
| tag_identity | tag_identity: who is in which photo, from a folder to a CSV; the predecessor's app on this engine
"""

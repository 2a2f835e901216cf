"""Small programs made of the stages: the demo, tag_identity, status and search by photo."""

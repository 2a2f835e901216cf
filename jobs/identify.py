"""Cluster the faces of OUT to people as a job of Ray, with the flags of `pixelbrain identify`.

ray job submit --address http://HOST:8265 --working-dir . -- python jobs/identify.py OUT
"""

from pixelbrain.cli.stores import identify

if __name__ == "__main__":
    identify()

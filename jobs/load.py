"""Fill MongoDB and ChromaDB from OUT as a job of Ray, with the flags of `pixelbrain load`.

ray job submit --address http://HOST:8265 --working-dir . -- python jobs/load.py OUT
"""

from pixelbrain.cli.stores import load

if __name__ == "__main__":
    load()

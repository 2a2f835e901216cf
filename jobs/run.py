"""Extract, load, identify and report as a job of Ray, with the flags of `pixelbrain run`.

ray job submit --address http://HOST:8265 --working-dir . -- python jobs/run.py SOURCE --out OUT
"""

from pixelbrain.cli.run import run

if __name__ == "__main__":
    run()

"""Run the models as a job of Ray, and land Parquet in OUT, with the flags of `pixelbrain extract`.

ray job submit --address http://HOST:8265 --working-dir . -- python jobs/extract.py SOURCE --out OUT
"""

from pixelbrain.cli.run import extract

if __name__ == "__main__":
    extract()

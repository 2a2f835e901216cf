"""Ask GPT-4 Vision as a job of Ray, with the flags of `pixelbrain ask`.

ray job submit --address http://HOST:8265 --working-dir . -- python jobs/ask.py OUT --question ...
"""

from pixelbrain.cli.ask import ask

if __name__ == "__main__":
    ask()

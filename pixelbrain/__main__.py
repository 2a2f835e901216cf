"""`python -m pixelbrain`: the command `pixelbrain`, where its script is not on the path, as in a job on a cluster."""

from pixelbrain.cli.main import main

if __name__ == "__main__":
    main()

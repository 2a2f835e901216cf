"""OUTs as versions of Pixelbrain wrote them, a few kB each; `make.py` says how they are made."""

"""Parquet under OUT: the truth, from which the stores can be rebuilt."""

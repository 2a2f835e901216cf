"""Encoded bytes to upright pixels, and pixels to the tensors that models want."""

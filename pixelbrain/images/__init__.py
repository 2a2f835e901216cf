"""Encoded bytes to upright pixels, and pixels to the tensors that models want.

| file       | role
| ---------- | ----
| colour     | Whatever an image's pixels are, to 8-bit sRGB: alpha on white, 16 bits scaled, colour profiles applied
| decode     | Decode an encoded image to upright RGB pixels, at a reduced scale where no module needs more
| encoded    | Open an encoded image: the documented formats alone, refused before it takes memory, its parsers' errors
| loader     | DataLoader: the images of a source, listed, read and decoded; usable alone, without Ray
| preprocess | Turn a batch of photos into the tensor that one model wants, without Ray and without that model
"""

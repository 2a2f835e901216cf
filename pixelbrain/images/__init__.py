"""Encoded bytes to upright pixels, and pixels to the tensors that models want.

| what | file | role |
| --- | --- | --- |
| `flatten` | colour | any pixels to 8-bit sRGB: alpha on white, 16 bits scaled, profiles applied |
| `DecodeTarget` | decode | bytes to upright RGB, at a reduced scale where no module needs more |
| `open_encoded` | encoded | opens the documented formats alone; their parsers' errors named |
| `ImageBatch` | loader | the images of a source, listed, read and decoded; usable without Ray |
| `Preprocessor` | preprocess | a batch of photos to the tensor that one model wants |
| `encode_thumbnail` | thumbnail | small JPEGs of a decoded photo: the whole of it, and its faces |
"""

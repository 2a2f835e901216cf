"""Encoded bytes to upright pixels, and pixels to the tensors that models want.

| what | file | role |
| --- | --- | --- |
| `png_chunks` | containers | where things are in a file, beyond what Pillow tells |
| `DecodeTarget` | decode | bytes to upright RGB, at a reduced scale where no module needs more |
| `open_encoded` | encoded | opens the documented formats alone; their parsers' errors named |
| `check_size` | limits | what decoding would take, refused where that is too much |
| `ImageBatch` | loader | the images of a source, listed, read and decoded; usable without Ray |
| `orientation` | metadata | how a photo lies, by EXIF, XMP or its container; when it was taken |
| `Preprocessor` | preprocess | a batch of photos to the tensor that one model wants |
| `ShapePreprocessor` | shaped | the same to any height and width, padded, cropped or stretched, in colour or grey |
| `import_torchvision` | torchvision | imports torchvision without torch's compiler |
| `encode_thumbnail` | thumbnail | small JPEGs of a decoded photo: the whole of it, and its faces |
| a room | colours/ | any pixels to 8-bit sRGB |
| a room | written/ | what EXIF, XMP and IPTC say, as values of a table |
"""

"""Names that travel: to other programs and libraries, and from them.

| what | file | role |
| --- | --- | --- |
| `Region` | regions | face regions in XMP, as digiKam, Lightroom and PhotoPrism read and write them |
| `export_names` | travel | whose faces are where, as a CSV or a folder of XMP sidecars |
| `import_names` | travel | the same from others: names, and faces that must be one person's |
"""

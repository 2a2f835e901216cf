"""Photos that are known by their bytes, under whatever name they are now.

| what | file | role |
| --- | --- | --- |
| `KnownBytes` | known | bytes that landed before, under whatever name, and what modules said of them |
| `Moves` | moved | images that have another name now: what became of them, and what goes along |
| `copy_pictures` | pictures | small pictures of images whose bytes were known, as of those that have them |
"""

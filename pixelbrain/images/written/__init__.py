"""What cameras and people wrote into a photo beside its pixels, as values of a table.

| what | file | role |
| --- | --- | --- |
| `Xmp`, `Iptc` | packets | the texts of an XMP packet and of an IPTC block |
| `read_written` | tags | EXIF, XMP and IPTC as one row: time, camera, exposure, place, rating, keywords |
| `clean_text`, `number_of` | values | what files hold, as texts and numbers that a table can hold; else None |
"""

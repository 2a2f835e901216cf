"""What people look at: the gallery, exports and search.

| file     | role
| -------- | ----
| export   | The tables as one file for other programs: CSV, JSON lines or Parquet
| search   | Search: the nearest faces, and whose they are, or the nearest images, to the vectors of a query photo
| gallery/ | The gallery: static pages that open from disk, without a network
"""

"""Photos: lists of them, one with all that was said of it, their pictures, and those that are like one.

| what | file | role |
| --- | --- | --- |
| `photos_page`, `list_file` | listing | the photos that are wanted, what else could be, and a file of them |
| `search_by_photo`, `like_page` | nearest | what is nearest to a photo that was sent, or to words |
| `photo_page` | one | one photo with all that was said of it, and its neighbours in the search |
| `picture` | pictures | a thumbnail, the crop of a face, a large picture, and one of full size |
"""

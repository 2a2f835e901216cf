"""Where a file is, as people and their programs are told."""

from __future__ import annotations

import os

from pixelbrain.storage.file_uri import path_to_uri, shown_path


def test_a_file_is_shown_by_its_path_where_it_has_one_that_is_text():
    assert shown_path("file:///photos/a%20b%20%C3%BC.jpg") == "/photos/a b ü.jpg"
    assert shown_path("s3://bucket/a%20b.jpg") == "s3://bucket/a%20b.jpg"
    odd = path_to_uri("/photos/" + os.fsdecode(b"\xff.jpg"))
    assert shown_path(odd) == odd == "file:///photos/%FF.jpg"

"""Only what certainly is not there any more is gone."""

from __future__ import annotations

from pixelbrain.sources.gone import find_gone
from pixelbrain.storage.file_uri import path_to_uri


def test_on_a_disk(tmp_path):
    (tmp_path / "there ü.jpg").touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")  # a listing names it
    names = [
        "there ü.jpg",
        "link.jpg",
        "gone.jpg",
        "no folder/gone.jpg",
        "there ü.jpg/gone.jpg",
        "nul\0.jpg",
        "l" * 300,
    ]
    uris = [path_to_uri(str(tmp_path / name)) for name in names]
    assert find_gone(uris) == [False, False, True, True, True, False, False]
    assert find_gone([]) == [] and find_gone(["https://example.com/a.jpg", "s3://bucket"]) == [False, False]

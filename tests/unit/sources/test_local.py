"""A folder is listed whole, in order, without opening what is no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_bytes
from pixelbrain.sources.local import path_to_uri, uri_to_path


def listed(source: str | Path) -> list[dict]:
    return [row for table in open_source(str(source)).list_images() for row in table.to_pylist()]


def test_lists_images_below_a_folder_in_order(photo_folder):
    names = [os.path.relpath(uri_to_path(r["image_id"]), photo_folder) for r in listed(photo_folder)]
    assert names == ["0.jpg", "1.jpg", "2.jpg", "broken.jpg", "empty.jpeg", "b/five ü #1.webp", "b/four.PNG"]


def test_a_row_has_size_and_a_version_that_changes_with_the_file(photo_folder):
    before = listed(photo_folder / "0.jpg")
    assert len(before) == 1 and before[0]["size_bytes"] == (photo_folder / "0.jpg").stat().st_size
    os.utime(photo_folder / "0.jpg", ns=(1, 1))
    assert listed(photo_folder / "0.jpg")[0]["version"] != before[0]["version"]


@pytest.mark.parametrize("name", ["a b.jpg", "q?&#%.jpg", "quote\"'.jpg", "new\nline.jpg", "🐈.jpg", b"\xff\xfe.jpg"])
def test_any_file_name_makes_the_round_trip(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(b"content")
    (row,) = listed(tmp_path)
    assert row["image_id"].startswith("file:///") and row["image_id"].isascii()
    assert os.fsencode(uri_to_path(row["image_id"])) == path
    assert read_bytes(row["image_id"]) == b"content"


def test_pipes_are_not_opened_and_loops_not_entered(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "real.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "absent.jpg")
    names = [os.path.basename(uri_to_path(r["image_id"])) for r in listed(tmp_path)]
    assert names == ["link.jpg", "nowhere.jpg", "real.jpg"]
    with pytest.raises(ReadError, match="regular file"):
        read_bytes(path_to_uri(str(tmp_path / "pipe.jpg")))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        listed(tmp_path / "absent")
    with pytest.raises(ReadError, match="No such file"):
        read_bytes(path_to_uri(str(tmp_path / "absent.jpg")))
    with pytest.raises(ReadError, match="neither"):
        read_bytes("ftp://host/a.jpg")


def test_an_empty_folder_lists_nothing(tmp_path):
    assert listed(tmp_path) == []

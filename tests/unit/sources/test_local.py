"""A folder is listed whole, in order, without opening what is no file; a file is read as it was at one moment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import local, open_source, read_bytes, read_image
from pixelbrain.sources.local import path_to_uri, uri_to_path
from tests.hostile.tree import ODD_NAMES, as_nobody, make_tree


def listed(source: str | Path) -> list[dict]:
    return [row for table in open_source(str(source)).list_images() for row in table.to_pylist()]


def test_lists_images_below_a_folder_in_order(photo_folder):
    names = [os.path.relpath(uri_to_path(r["image_id"]), photo_folder) for r in listed(photo_folder)]
    assert names == ["0.jpg", "1.jpg", "2.jpg", "broken.jpg", "empty.jpeg", "b/five ü #1.webp", "b/four.PNG"]


def test_a_row_has_size_and_a_version_that_changes_with_the_file(photo_folder):
    before = listed(photo_folder / "0.jpg")
    assert len(before) == 1 and before[0]["size_bytes"] == (photo_folder / "0.jpg").stat().st_size
    assert read_image(before[0]["image_id"]).version == before[0]["version"]
    os.utime(photo_folder / "0.jpg", ns=(1, 1))
    assert listed(photo_folder / "0.jpg")[0]["version"] != before[0]["version"]


def test_odd_names_links_pipes_and_devices(tmp_path):
    expected = make_tree(tmp_path, b"content")
    rows = listed(tmp_path)
    assert len(rows) == len(expected) == len(ODD_NAMES) + 9
    assert {row["image_id"] for row in rows} == set(expected)
    for row in rows:
        assert row["image_id"].startswith("file:///") and row["image_id"].isascii()
        assert path_to_uri(uri_to_path(row["image_id"])) == row["image_id"]
        if expected[row["image_id"]] is None:
            assert read_bytes(row["image_id"]) == b"content"
        else:
            with pytest.raises(ReadError):
                read_bytes(row["image_id"])


@pytest.mark.parametrize("name", ["pipe.jpg", "link-to-pipe.jpg", "socket.jpg", "device.jpg", "folder.jpg"])
def test_only_regular_files_are_opened(tmp_path, name, monkeypatch):
    make_tree(tmp_path, b"content")
    monkeypatch.setattr(local.os, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(ReadError, match="not a regular file"):
        read_bytes(path_to_uri(str(tmp_path / name)))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    open_now = os.open

    def too_late(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return open_now(name, flags)

    monkeypatch.setattr(local.os, "open", too_late)
    with pytest.raises(ReadError, match="not a regular file"):
        read_bytes(path_to_uri(str(path)))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"content, and more"),
        lambda path: os.truncate(path, 3),
        lambda path: os.utime(path, ns=(1, 1)),  # written over with as many bytes
    ],
)
def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path, monkeypatch, change):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    read_now = local._read

    def meanwhile(descriptor: int, size: int) -> bytes:
        change(path)
        return read_now(descriptor, size)

    monkeypatch.setattr(local, "_read", meanwhile)
    (before,) = listed(path)
    with pytest.raises(ReadError, match="changed while it was read"):
        read_bytes(path_to_uri(str(path)))
    assert listed(path)[0]["version"] != before["version"]  # the next run takes it up again


def test_a_file_that_is_deleted_while_it_is_read_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"content")
    read_now = local._read
    monkeypatch.setattr(local, "_read", lambda *given: (path.unlink(), read_now(*given))[1])
    assert read_bytes(path_to_uri(str(path))) == b"content"


def test_a_file_that_never_ends_is_not_read(tmp_path):
    path = tmp_path / "huge.jpg"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(ReadError, match=r"1,099,511,627,776 bytes are no image"):
        read_bytes(path_to_uri(str(path)))


def test_what_may_not_be_read_is_named():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # pytest's own folders are for its user alone
        (folder / "closed.jpg").write_bytes(b"content")
        (folder / "closed.jpg").chmod(0)
        (folder / "closed").mkdir(mode=0)
        with as_nobody():
            with pytest.raises(ReadError, match="PermissionError: Permission denied"):
                read_bytes(path_to_uri(str(folder / "closed.jpg")))
            with pytest.raises(SourceError, match="cannot list .*closed: Permission denied"):
                listed(folder)
        (folder / "closed").chmod(0o755)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        listed(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        listed(tmp_path / "pipe.jpg")
    with pytest.raises(SourceError, match=r"new\\nline"):
        listed(tmp_path / "new\nline")
    with pytest.raises(ReadError, match="No such file"):
        read_bytes(path_to_uri(str(tmp_path / "absent.jpg")))
    with pytest.raises(ReadError, match="no file can have"):
        read_bytes("file:///a%00.jpg")
    with pytest.raises(ReadError, match="File name too long"):
        read_bytes(path_to_uri("/" + "x" * 300))
    with pytest.raises(ReadError, match="another machine"):
        read_bytes("file://server/a.jpg")
    with pytest.raises(ReadError, match="neither"):
        read_bytes("ftp://host/a.jpg")


def test_a_folder_that_vanishes_while_it_is_listed_is_empty(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for index in range(1000):  # the first table of a listing is full before the next folder is entered
        (tmp_path / "a" / f"{index:04d}.jpg").touch()
    tables = open_source(str(tmp_path)).list_images()
    assert len(next(tables)) == 1000
    (tmp_path / "b").rmdir()
    assert list(tables) == []


def test_an_empty_folder_lists_nothing(tmp_path):
    assert listed(tmp_path) == []

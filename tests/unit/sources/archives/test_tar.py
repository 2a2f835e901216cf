"""Members of tar files are images: listed by their headers, read by their range, and known by a name of their own."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery import names
from pixelbrain.sources import local_path, open_source, read_image
from pixelbrain.sources.archives.names import member_uri, split_member
from pixelbrain.sources.gone import find_gone
from pixelbrain.sources.local import LocalSource, path_to_uri

LONG = f"{'x' * 150}/{'y' * 120}.png"
MEMBERS = {
    "./000.jpg": b"A" * 1000,
    "000.json": b"{}",
    "000.cls": b"1",
    "d/ü #1%20.jpg": b"B" * 700,
    LONG: b"C" * 5,
    "._h.jpg": b"hidden",
    "e.jpg": b"",
}


def write_tar(path: Path, members: Mapping[str, bytes], format: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def listed(source, **how) -> list[dict]:
    return [row for table in open_source(source, **how).list_images() for row in table.to_pylist()]


def test_the_ids():
    for archive in ("file:///a%23b.tar", "s3://b/a#b%23.tar"):
        for name in ("a.jpg", "d/ü #1%20.jpg", os.fsdecode(b"caf\xe9.jpg"), "new\nline.jpg", ""):
            uri = member_uri("tar", archive, name)
            assert split_member(uri) == ("tar", archive, name) and uri.count("#") == 1 and uri.isprintable()
    for other in ("file:///a.tar%23/b.jpg", "s3://b/a.tar#/b.jpg", "tar+x", "https://h/a.tar#/b.jpg"):
        assert split_member(other) is None
    assert local_path(member_uri("tar", "file:///a%20b.tar", "c.jpg")) == "/a b.tar"
    assert local_path("file:///a%20b.jpg") == "/a b.jpg"
    assert local_path(member_uri("tar", "s3://b/a.tar", "c.jpg")) is None and local_path("s3://b/a.jpg") is None
    shown = member_uri("tar", "file:///a%20b.tar", "d/ü.jpg")
    assert (names.full_name(shown), names.short_name(shown)) == ("/a b.tar/d/ü.jpg", "ü.jpg")
    assert names.href(shown) is None  # no browser opens it


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_listed_and_read(tmp_path, format):
    path = write_tar(tmp_path / "a #1.tar", MEMBERS, format)
    source = open_source(str(path))
    [table] = source.list_images()
    rows = table.to_pylist()
    wanted = {name.removeprefix("./"): data for name, data in MEMBERS.items() if name.endswith("g") and "_" not in name}
    assert [split_member(row["image_id"])[2] for row in rows] == list(wanted)
    assert source.passed_over == {".json": 1, ".cls": 1, "hidden file": 1}
    for row, data in zip(rows, wanted.values(), strict=True):
        assert row["size_bytes"] == len(data)
        for version in (row["version"], "", "another@0+3"):  # where it is not known, it is found by its name
            assert read_image(row["image_id"], version=version) == (data, row["version"])
        assert source.covers(row["image_id"])
    assert len(listed(str(path), hidden=True)) == len(rows) + 1
    assert not LocalSource(tmp_path).covers(rows[0]["image_id"])  # a folder says nothing of what is in archives
    assert not source.covers(path_to_uri(str(tmp_path / "000.jpg")))


def test_only_headers_are_read(tmp_path, monkeypatch):
    """And of a member only its own bytes."""
    path = write_tar(tmp_path / "a.tar", {f"{n}.jpg": bytes([n]) * 100_000 for n in range(20)})
    taken = []

    class Counting(io.FileIO):
        def readinto(self, buffer):
            taken.append(super().readinto(buffer))
            return taken[-1]

    monkeypatch.setattr("builtins.open", lambda file, *how, **more: io.BufferedReader(Counting(file, "r")))
    rows = listed(str(path))
    monkeypatch.undo()
    assert len(rows) == 20 and sum(taken) < 20 * 10_000


def test_archives_by_a_glob_and_the_same_name_in_two(tmp_path):
    for shard in ("s-0.tar", "s-1.tar", "other.tar"):
        write_tar(tmp_path / shard, {"a.jpg": shard.encode()})
    rows = listed(str(tmp_path / "s-*.tar"))
    assert [read_image(row["image_id"], version=row["version"]).data for row in rows] == [b"s-0.tar", b"s-1.tar"]
    assert len(listed([str(tmp_path / "other.tar"), str(tmp_path / "*.tar")])) == 3
    (tmp_path / "list.txt").write_text(rows[1]["image_id"])  # a list can name members
    [row] = listed(str(tmp_path / "list.txt"))
    assert read_image(row["image_id"], version=row["version"]).data == b"s-1.tar"


def test_links_devices_and_names_that_stand_twice(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, kind in (("l.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE), ("p.jpg", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            file.addfile(info)
        for data in (b"first", b"second"):
            info = tarfile.TarInfo("a.jpg")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    source = open_source(str(tmp_path / "a.tar"))
    [table] = source.list_images()
    [uri] = table["image_id"].to_pylist()
    assert source.passed_over == {"link or device in an archive": 3, "entry that stands twice": 1}
    assert read_image(uri).data == read_image(uri, version=table["version"][0].as_py()).data == b"first"


def test_an_archive_that_is_cut_off(tmp_path):
    """What is whole is there; the archive is a row that fails, and nothing counts as gone from it."""
    whole = write_tar(tmp_path / "whole.tar", {"0.jpg": b"0" * 600, "1.jpg": b"1" * 600}).read_bytes()
    cuts = {len(whole): 2, 3072: 2, 512 + 1024 + 512 + 600: 2, 512 + 1024 + 300: 1, 700: 1}
    for size, count in cuts.items():
        (tmp_path / "a.tar").write_bytes(whole[:size])
        loader = DataLoader(str(tmp_path / "*a.tar"))
        rows = [row for table in loader.list_images() for row in table.to_pylist()]
        members = [row for row in rows if not row["image_id"].endswith("#/")]
        assert len(members) == count, size
        gone = member_uri("tar", path_to_uri(str(tmp_path / "a.tar")), "gone.jpg")
        assert loader.covers(gone) == (size > 3072) == (len(rows) == count)
        if size == 700:
            with pytest.raises(ReadError, match="cut off: the file has 700 bytes, and the image ends at 1,112"):
                read_image(rows[0]["image_id"], version=rows[0]["version"])
        if size <= 3072:  # of which the mark of its end alone is gone, perhaps more
            with pytest.raises(ReadError, match="the archive is cut off or damaged behind its member"):
                read_image(rows[-1]["image_id"], version=rows[-1]["version"])
        assert find_gone([gone]) == [size > 3072]  # where the headers end early, nobody knows


def test_what_is_no_tar(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"hello" * 300)
    (tmp_path / "packed.tar").write_bytes(gzip.compress(b"x" * 100))
    (tmp_path / "empty.tar").touch()
    for name, said in (
        ("bad.tar", "bad.tar: it is no tar file"),
        ("packed.tar", "it is compressed with gzip, and no part of it can be read by itself: unpack it"),
        ("empty.tar", "it is no tar file"),
        ("absent.tar", "no such file or folder"),
    ):
        with pytest.raises(SourceError, match=said) as caught:
            listed(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    write_tar(tmp_path / "good.tar", {"a.jpg": b"x"})
    rows = listed(str(tmp_path / "*.tar"))  # among others, each is a row
    assert [split_member(row["image_id"])[2] for row in rows] == ["", "", "a.jpg", ""]


def test_an_archive_that_changes(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"0.jpg": b"0" * 600, "1.jpg": b"1" * 600})
    rows = listed(str(path))
    write_tar(path, {"1.jpg": b"new"})
    os.utime(path, ns=(1, 1))
    found = read_image(rows[1]["image_id"], version=rows[1]["version"])
    assert found.data == b"new" and found.version != rows[1]["version"]
    assert [row["version"] for row in listed(str(path))] == [found.version]
    with pytest.raises(ReadError, match=r"it is not in the archive \(any more\): '0.jpg'"):
        read_image(rows[0]["image_id"], version=rows[0]["version"])
    assert find_gone([row["image_id"] for row in rows]) == [True, False]
    path.unlink()
    assert find_gone([row["image_id"] for row in rows]) == [True, True]
    with pytest.raises(ReadError, match="FileNotFoundError"):
        read_image(rows[1]["image_id"], version=rows[1]["version"])


@pytest.mark.usefixtures("forked")
def test_a_run_over_shards_is_resumed_within_one(tmp_path, encode):
    """What has landed is not done again; a shard that came to be longer is, where its bytes are new."""
    from pixelbrain.engine.extract import extract
    from tests.unit.engine.modules_for_tests import Size

    photos = {f"{n}.jpg": encode(size=(40 + n, 30)) for n in range(5)}
    path = write_tar(tmp_path / "s.tar", {**photos, "broken.jpg": b"no image", "0.json": b"{}"})
    out = tmp_path / "out"
    first = extract(DataLoader(str(path), limit=2), [Size()], out)
    assert (first.done, first.failed) == (2, 0)
    second = extract(DataLoader(str(path)), [Size()], out)
    assert (second.listed, second.done, second.failed, second.passed_over) == (6, 4, 1, {".json": 1})
    write_tar(path, {name: data for name, data in photos.items() if name != "1.jpg"} | {"5.jpg": encode(size=(9, 9))})
    third = extract(DataLoader(str(path)), [Size()], out, prune=True)
    assert (third.listed, third.done, third.failed, third.gone) == (5, 5, 0, 2)
    landing = Landing(out)
    ids = [one for table in landing.iter_images([]) for one in table["image_id"].to_pylist()]
    assert sorted(split_member(one)[2] for one in ids) == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]

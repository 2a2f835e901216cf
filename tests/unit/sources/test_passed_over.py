"""What no camera wrote is not listed, and what is passed over is counted, by kind."""

from __future__ import annotations

import os

import pytest

from pixelbrain.sources import open_source
from pixelbrain.sources.passed_over import PassedOver, describe_passed_over, is_hidden
from pixelbrain.sources.s3 import S3Source
from pixelbrain.storage.file_uri import uri_to_path

NAMES = [
    "a.jpg", "b/c.jpg", "b/._c.jpg", "b/.d.jpg", ".thumbnails/e.jpg", ".Trash-1000/files/f.jpg",
    "b/@eaDir/c.jpg/g.jpg", "__MACOSX/._a.jpg", "b/film.MOV", "b/film2.mov", "b/c.jpg.xmp", "b/README", "x.tar.gz",
    "x.0001", "b/#recycle/h.jpg",
]  # fmt: skip
PHOTOS = {"a.jpg", "b/c.jpg"}
OTHERS = {".mov": 2, ".xmp": 1, ".gz": 1, "file without an extension": 2}


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def listed(source, **how) -> tuple[set[str], dict[str, int]]:
    opened = open_source(str(source), **how)
    ids = [image_id for table in opened.list_images() for image_id in table["image_id"].to_pylist()]
    assert len(ids) == len(set(ids))
    return {os.path.relpath(uri_to_path(one), source) for one in ids}, dict(opened.passed_over)


def test_a_folder(folder):
    assert listed(folder) == (PHOTOS, OTHERS | {"hidden folder": 5, "hidden file": 2})
    everything = {name for name in NAMES if name.endswith(".jpg")}
    assert listed(folder, hidden=True) == (everything, OTHERS)
    assert listed(folder / ".thumbnails") == ({"e.jpg"}, {})  # which is hidden, and was named
    (folder / "list.txt").write_text("b/.d.jpg\n")
    assert listed(folder / "list.txt")[0] == {"../b/.d.jpg"}


def keys(source: S3Source, names: list[str]) -> list[str]:
    return [row[0] for row in source._rows({"Contents": [{"Key": key, "Size": 1} for key in names]})]


@pytest.mark.parametrize("prefix", ["", ".in/", ".in"])
def test_a_prefix_in_s3(prefix):
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    names = [below + name for name in NAMES]
    source = S3Source(f"s3://bucket/{prefix}")
    assert set(keys(source, names)) == {f"s3://bucket/{below}{name}" for name in PHOTOS}
    assert source.passed_over == OTHERS | {"hidden file": 7}
    source = S3Source(f"s3://bucket/{prefix}", hidden=True)
    assert len(keys(source, names)) == 9 and source.passed_over == OTHERS
    assert keys(S3Source(f"s3://bucket/{prefix}"), [f"{below}a/../b.jpg"])  # a key like any other


def test_outs_in_s3():
    part = "images/part-000001-00000000-000.parquet"
    names = [
        "in/a.jpg", f"in/old/{part}", "in/old/report/1.jpg", "in/older.jpg", "in/out/1.jpg", "in/out.jpg", f"in/{part}",
    ]  # fmt: skip
    source = S3Source("s3://bucket/in", outs=["s3://bucket/in/out"])
    assert keys(source, [*names, "in/z.jpg"]) == [f"s3://bucket/in/{n}.jpg" for n in ("a", "older", "out", "z")]
    assert source.passed_over == {"file of results": 3, ".parquet": 1}


def test_links_to_folders_are_followed_once_and_out_of_source_alone(tmp_path):
    photos, more = tmp_path / "photos", tmp_path / "more"
    for path in (photos / "a", photos / ".store", more / "deep", tmp_path / "not"):
        path.mkdir(parents=True)
        (path / "1.jpg").touch()
    (photos / "away").symlink_to(more)
    (more / "loop").symlink_to(more)
    (more / "back").symlink_to(photos / "a")
    (photos / "deep").symlink_to(more / "deep")  # the shorter way to it
    (photos / "again").symlink_to(photos / "a")
    (photos / "kept").symlink_to(photos / ".store")
    (photos / "self").symlink_to(photos)
    (photos / "up").symlink_to(tmp_path)
    names, passed = listed(photos)
    assert names == {"a/1.jpg", "deep/1.jpg", "kept/1.jpg"}
    assert passed == {
        "hidden folder": 1, "linked folder that SOURCE is in": 2, "linked folder that is listed elsewhere": 4
    }  # fmt: skip


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "@Recycle", "System Volume Information", "lost+found", ".a", "..a"])
def test_names_of_systems(name):
    assert is_hidden(name)
    assert not is_hidden(f"_{name}") and not is_hidden("..")


def test_what_is_said_is_short_whatever_names_end_in():
    counts = PassedOver()
    for number in range(1000):
        counts.add_file(f"x.a{number}")
    assert len(counts) == 51 and sum(counts.values()) == 1000
    assert (
        describe_passed_over(counts) == "950 of other kinds, " + ", ".join(f"1 .a{n}" for n in range(7)) + ", 43 more"
    )
    assert describe_passed_over({".xmp": 1, "hidden folder": 2, "row without a uri": 1200}) == (
        "1,200 rows without a uri, 2 hidden folders, 1 .xmp"
    )

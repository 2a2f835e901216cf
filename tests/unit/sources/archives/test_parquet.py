"""Rows of Parquet files are images: Hugging Face's structs, and plain bytes."""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_image
from pixelbrain.sources.archives import parquet
from pixelbrain.sources.archives.names import split_member
from pixelbrain.sources.gone import find_gone

STRUCTS = [{"bytes": bytes([n]) * 3, "path": f"{n}.jpg"} for n in range(7)] + [{"bytes": None, "path": "x.jpg"}, None]


def write(file: Path, groups: int = 2, **columns) -> Path:
    pq.write_table(pa.table(columns), file, row_group_size=groups)
    return file


def listed(source, **how) -> list[dict]:
    return [row for table in open_source(str(source), **how).list_images() for row in table.to_pylist()]


def test_hugging_faces_layout(tmp_path):
    path = write(tmp_path / "a #1.parquet", image=STRUCTS, label=list(range(9)), path=["p"] * 9)
    source = open_source(str(path))
    [table] = source.list_images()
    rows = table.to_pylist()
    assert [split_member(row["image_id"])[2] for row in rows] == [f"image/{n}" for n in range(9)]
    for row, struct in [*zip(rows, STRUCTS, strict=True)][:7][::-1]:
        assert read_image(row["image_id"], version=row["version"]) == (struct["bytes"], row["version"])
        assert read_image(row["image_id"]) == (struct["bytes"], row["version"])
        assert source.covers(row["image_id"])
    for row in rows[7:]:
        with pytest.raises(ReadError, match="row (7 .*, only the path 'x.jpg': name|8 has no bytes in .*`image`$)"):
            read_image(row["image_id"], version=row["version"])
    assert len(parquet._kept) <= 2
    assert find_gone([rows[0]["image_id"], rows[0]["image_id"].replace("/0", "/9")]) == [False, True]


def test_plain_bytes_and_which_column(tmp_path):
    path = write(tmp_path / "a.parquet", jpg=pa.array([b"x", b"y"], pa.large_binary()), mask=[b"1", b"2"], n=[1, 2])
    with pytest.raises(SourceError, match="images in the columns `jpg` and `mask`: --column says which one"):
        listed(path)
    assert [read_image(row["image_id"]).data for row in listed(path, column="mask")] == [b"1", b"2"]
    with pytest.raises(SourceError, match="no column `n` of images; its columns are: jpg, mask, n"):
        listed(path, column="n")
    [row] = listed(write(tmp_path / "b.parquet", jpg=[b"x"], label=["cat"]))
    assert read_image(row["image_id"]).data == b"x"
    [row] = listed(write(tmp_path / "list.parquet", uri=[b"x.jpg"], embedding=[b"1234"]))
    assert row["image_id"].endswith("/x.jpg")  # that is a list


@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"x", b"x"], pa.binary_view()),
        pa.array([b"x", b"x"]).dictionary_encode(),
        pa.array([{"path": "a", "bytes": b"x", "n": 1}] * 2),
    ],
)
def test_other_types_of_bytes(tmp_path, values):
    rows = listed(write(tmp_path / "a.parquet", Image=values, n=[1, 2]), column="image ")
    assert [read_image(row["image_id"], version=row["version"]).data for row in rows] == [b"x", b"x"]


def test_the_column_that_is_named_says_what_a_file_is(tmp_path):
    path = write(tmp_path / "a.parquet", image=STRUCTS[:1], url=["https://h/a.jpg"], caption=["x.jpg"])
    assert listed(path)[0]["image_id"].endswith("#/image/0")
    for column, said in (("caption", f"file://{tmp_path}/x.jpg"), ("image", f"parquet+file://{path}#/image/0")):
        assert [row["image_id"] for row in listed(path, column=column)] == [said]
    [row] = listed(write(tmp_path / "list.parquet", path=["x.jpg"], thumbnail=[b"1"]), column="thumbnail")
    assert read_image(row["image_id"]).data == b"1"


def test_lists_of_images(tmp_path):
    for images in ([STRUCTS[:2]], [[b"x", b"y"]]):
        path = write(tmp_path / "a.parquet", images=images, caption=["x"])
        for column in (None, "images"):
            with pytest.raises(SourceError, match="`images` has lists of images: write the file with an image a row"):
                listed(path, column=column)


def test_a_file_is_read_by_the_thread_that_asks(tmp_path, monkeypatch):
    """One of Arrow's own that still holds it when Python ends takes the process down with it."""
    path, readers = write(tmp_path / "a.parquet", image=STRUCTS), set()

    class Watched(io.FileIO):
        def read(self, *args):
            readers.add(threading.get_ident())
            return super().read(*args)

    @contextlib.contextmanager
    def opened(_archive, **_how):
        with Watched(path) as file:
            yield file, "1"

    monkeypatch.setattr(parquet, "open_ranged", opened)
    assert parquet.read_row(f"file://{path}", "image/3", "1").data == STRUCTS[3]["bytes"]
    assert readers == {threading.get_ident()}


def test_shards_by_a_glob_of_which_one_is_broken(tmp_path):
    write(tmp_path / "s-0.parquet", image=STRUCTS[:2])
    (tmp_path / "s-1.parquet").write_bytes((tmp_path / "s-0.parquet").read_bytes()[:-20])
    write(tmp_path / "s-2.parquet", image=STRUCTS[2:3])
    rows = listed(tmp_path / "s-*.parquet")
    assert rows == listed(tmp_path / "s-{0..2}.parquet")
    assert [split_member(row["image_id"])[2] for row in rows] == ["image/0", "image/1", "", "image/0"]
    with pytest.raises(ReadError, match="it is no Parquet file, or not a whole one"):
        read_image(rows[2]["image_id"], version=rows[2]["version"])


def test_a_file_that_changes(tmp_path):
    path = write(tmp_path / "a.parquet", image=STRUCTS[:4])
    rows = listed(path)
    assert read_image(rows[0]["image_id"], version=rows[0]["version"]).data == b"\0\0\0"
    write(path, image=STRUCTS[5:7])
    found = read_image(rows[2]["image_id"].replace("/2", "/1"), version="")
    assert found.data == STRUCTS[6]["bytes"] and found.version == listed(path)[0]["version"] != rows[0]["version"]
    with pytest.raises(ReadError, match=r"has 2 rows \(now\), and the image was in row 3"):
        read_image(rows[3]["image_id"], version=rows[3]["version"])
    write(path, photo=STRUCTS[:4])
    with pytest.raises(ReadError, match=r"no column `image` \(any more\)"):
        read_image(rows[3]["image_id"])


def test_row_groups_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 10)
    [row, *_others] = listed(write(tmp_path / "a.parquet", groups=100, image=STRUCTS))
    with pytest.raises(ReadError, match="row groups of a few hundred rows"):
        read_image(row["image_id"])

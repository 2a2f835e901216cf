"""A list file names images; what it names wrongly is still listed, once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain.errors import SourceError
from pixelbrain.sources import open_source
from pixelbrain.sources.local import path_to_uri, uri_to_path


def listed(path) -> list[dict]:
    return [row for table in open_source(str(path)).list_images() for row in table.to_pylist()]


@pytest.fixture
def names(photo_folder) -> list[str]:
    return [
        "0.jpg",
        str(photo_folder / "1.jpg"),
        path_to_uri(str(photo_folder / "2.jpg")),
        "absent.jpg",
        "s3://b/k 1.jpg",
    ]


def expected(photo_folder) -> list[str]:
    local = [path_to_uri(str(photo_folder / n)) for n in ("0.jpg", "1.jpg", "2.jpg", "absent.jpg")]
    return [*local, "s3://b/k 1.jpg"]


def test_text(photo_folder, names):
    (photo_folder / "list.txt").write_text("# a comment\n" + "\n".join([*names, "", "0.jpg"]))
    assert [r["image_id"] for r in listed(photo_folder / "list.txt")] == expected(photo_folder)


def test_csv(photo_folder, names):
    (photo_folder / "list.csv").write_text("note,uri\n" + "".join(f"x,{n}\n" for n in names))
    assert [r["image_id"] for r in listed(photo_folder / "list.csv")] == expected(photo_folder)


def test_parquet_with_versions(photo_folder, names):
    pq.write_table(pa.table({"uri": names, "version": list("abcde")}), photo_folder / "list.parquet")
    rows = listed(photo_folder / "list.parquet")
    assert [r["image_id"] for r in rows] == expected(photo_folder)
    assert [r["version"] for r in rows] == list("abcde")


def test_a_photo_in_several_spellings_is_one_image(tmp_path):
    (tmp_path / "h").mkdir()
    photo = tmp_path / "h" / "a ü%20.jpg"
    photo.touch()
    quoted = path_to_uri(str(photo))
    spellings = [
        "h/a ü%20.jpg", "./h//x/../a ü%20.jpg", str(photo), f"/{photo}", quoted, quoted.lower(), f"FILE{quoted[4:]}",
        quoted.replace("%20", " ", 1), f"file:{quoted[7:]}", f"file://localhost{quoted[7:]}",
    ]  # fmt: skip
    (tmp_path / "list.txt").write_text(
        "\n".join([*spellings, "S3://B/a%20b.jpg", "s3a://B/a%20b.jpg", "s3://B/a b.jpg"])
    )
    source = open_source(str(tmp_path / "list.txt"))
    [table] = source.list_images()
    assert table["image_id"].to_pylist() == [quoted, "s3://B/a%20b.jpg", "s3://B/a b.jpg"]
    assert source.passed_over == {"entry that stands twice": len(spellings)}
    assert [row["image_id"] for row in listed(f"file:{quoted[7:]}")] == [quoted]


def test_what_begins_with_a_hash_is_a_comment_unless_there_is_such_a_file(tmp_path):
    (tmp_path / "#1.jpg").touch()
    (tmp_path / "#").mkdir()
    (tmp_path / "#" / "2.jpg").touch()
    lines = ["#1.jpg", "# 1.jpg", "#3.jpg", "#s3://b/4.jpg", "#/2.jpg", "./#5.jpg", "##", "x#6.jpg"]
    (tmp_path / "list.txt").write_text("\r\n".join(lines))
    assert [uri_to_path(row["image_id"]) for row in listed(tmp_path / "list.txt")] == [
        f"{tmp_path}/{name}" for name in ("#1.jpg", "#/2.jpg", "#5.jpg", "x#6.jpg")
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([1, None]), "the column `uri` of .*list.parquet holds '1', of type int: it holds paths or URIs"),
        (pa.array([[b"a.jpg"]]), "holds .* of type list"),
        (pa.array([{"path": "a.jpg"}]), "holds .* of type dict"),
        (pa.array([1], pa.date32()), "holds '1970-01-02', of type date"),
    ],
)
def test_a_column_that_holds_no_uris(tmp_path, values, said):
    pq.write_table(pa.table({"uri": values}), tmp_path / "list.parquet")
    with pytest.raises(SourceError, match=said) as caught:
        listed(tmp_path / "list.parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1.5, None, 2.0]), ["1.5", "listed", "2"]),
        (pa.array([7, 8, None]), ["7", "8", "listed"]),
        (pa.array([b"x", b"y", b""]), ["x", "y", "listed"]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (
            pa.array([1, 2, None], pa.timestamp("ns")),
            ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000000002", "listed"],
        ),
        (pa.nulls(3), ["listed"] * 3),
    ],
)
def test_versions_and_uris_of_other_types(tmp_path, values, expected):
    uris = pa.array([b"s3://b/1.jpg", "s3://b/ü.jpg".encode(), b"s3://b/\xff.jpg"])
    pq.write_table(pa.table({"uri": uris, "version": values}), tmp_path / "list.parquet")
    rows = listed(tmp_path / "list.parquet")
    assert [row["version"] for row in rows] == expected
    assert [row["image_id"] for row in rows] == ["s3://b/1.jpg", "s3://b/ü.jpg", "s3://b/\ufffd.jpg"]


def test_rows_without_a_uri_are_counted_and_paths_are_bytes(tmp_path):
    pq.write_table(pa.table({"uri": [b"caf\xe9.jpg", None, b""]}), tmp_path / "list.parquet")
    source = open_source(str(tmp_path / "list.parquet"))
    [table] = source.list_images()
    assert table["image_id"].to_pylist() == [f"{path_to_uri(str(tmp_path))}/caf%E9.jpg"]
    assert source.passed_over == {"row without a uri": 2}


def test_a_version_that_is_no_value(tmp_path):
    pq.write_table(pa.table({"uri": ["a.jpg"], "version": [[1]]}), tmp_path / "list.parquet")
    with pytest.raises(SourceError, match="cannot read the list .*list.parquet: "):
        listed(tmp_path / "list.parquet")


@pytest.mark.parametrize("column", ["uri", "url", "path", "URL", " Path "])
def test_what_the_column_may_be_called(photo_folder, column):
    (photo_folder / "list.csv").write_text(f"note,{column}\nx,0.jpg\n")
    pq.write_table(pa.table({column: ["0.jpg"], "note": ["x"]}), photo_folder / "list.parquet")
    for name in ("list.csv", "list.parquet"):
        assert [row["image_id"] for row in listed(photo_folder / name)] == expected(photo_folder)[:1]


@pytest.mark.parametrize(
    ("header", "column", "said"),
    [
        ("image,x", None, "no column `uri`, `url` or `path`; its columns are: image, x; --column says which one"),
        ("uri,path", None, "has the columns `uri` and `path`: --column says which one"),
        ("URL,x,url", None, "has the columns `URL` and `url`: --column says which one"),
        ("uri,uri", None, "has the columns `uri` and `uri`: rename one of them"),
        ("a,uri,a", "a", "has the columns `a` and `a`: rename one of them"),
        ("uri,version,version", None, "has the columns `version` and `version`: rename one of them"),
        ("uri,x", "y", "has no column `y`; its columns are: uri, x"),
    ],
)
def test_columns_that_do_not_say_which(photo_folder, header, column, said):
    """Of two, none is taken silently."""
    (photo_folder / "list.csv").write_text(f"{header}\n0.jpg,1.jpg,2.jpg\n")
    values = [pa.array(["0.jpg"])] * len(header.split(","))
    pq.write_table(pa.Table.from_arrays(values, names=header.split(",")), photo_folder / "list.parquet")
    for name in ("list.csv", "list.parquet"):
        with pytest.raises(SourceError, match=said):
            list(open_source(str(photo_folder / name), column=column).list_images())


def test_a_named_column(photo_folder):
    (photo_folder / "list.csv").write_text("uri,url,URL\n0.jpg,1.jpg,2.jpg\n")
    for column, which in ("url", 1), ("URL", 2), ("Uri", 0):
        [table] = open_source(str(photo_folder / "list.csv"), column=column).list_images()
        assert table["image_id"].to_pylist() == [expected(photo_folder)[which]]


def test_not_a_list(photo_folder):
    (photo_folder / "list.parquet").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="cannot read the list"):
        listed(photo_folder / "list.parquet")
    with pytest.raises(SourceError, match="no such list"):
        listed(photo_folder / "other.txt")


def test_the_first_table_comes_soon(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"s3://b/{index}.jpg\n" for index in range(11_500)))
    assert [len(table) for table in open_source(str(tmp_path / "list.txt")).list_images()] == [1000, 10_000, 500]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "id\tpath\n1\t0.jpg\n2\t\n3\t1.jpg\n"),
        ("a.csv", "id;URL\n1,5;0.jpg\n2;\n3;1.jpg\n"),
        ("a.csv", "id\tpath\n1\t0.jpg\n2\t\n3\t1.jpg\n"),
        ("a.csv", 'note;x;y,"path"\n1,0.jpg\n2,\n3,1.jpg\n'),
        ("a.csv", "id, path\n1, 0.jpg\n2, \n3, 1.jpg \n"),
        ("a.jsonl", '{"id": 1, "path": "0.jpg"}\n\n{"id": 2}\n{"id": 3, "path": "1.jpg", "box": [1]}\n'),
        ("a.ndjson", '{"id": 2}\r\n{"url": "0.jpg"}\r\n{"url": "1.jpg"}'),
    ],
)
def test_tables_of_other_kinds(photo_folder, name, text):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (photo_folder / name).write_text(text, encoding=encoding, newline="")
        source = open_source(str(photo_folder / name))
        [table] = source.list_images()
        assert table["image_id"].to_pylist() == [path_to_uri(str(photo_folder / n)) for n in ("0.jpg", "1.jpg")]
        assert source.passed_over == {"row without a uri": 1}


def test_a_named_column_and_versions_of_jsonl(photo_folder):
    (photo_folder / "a.jsonl").write_text('{"Image": "0.jpg", "url": "x", "version": 7}\n{"Image": "s3://b/k"}')
    [table] = open_source(str(photo_folder / "a.jsonl"), column="image").list_images()
    assert table["version"].to_pylist() == ["7", "listed"]
    (photo_folder / "a.csv").write_text("n;image\n1;0.jpg")
    [table] = open_source(str(photo_folder / "a.csv"), column="image").list_images()
    assert table["image_id"].to_pylist() == [path_to_uri(str(photo_folder / "0.jpg"))]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "a.csv is empty: its first line has no columns"),
        ("a.jsonl", b"", "a.jsonl is empty: its first line has no columns"),
        ("a.csv", b"0.jpg,1\n1.jpg,2\n", "columns are: 0.jpg, 1; a first line that names the columns is missing"),
        ("a.csv", b"id;image\n1;0.jpg\n", "its columns are: id, image; --column says which one"),
        ("a.csv", "path\nü.jpg\n".encode("latin-1"), "a.csv is no UTF-8 text: save it as UTF-8"),
        ("a.jsonl", b'{"url": "a.jpg"}\n{"url": \n', "a.jsonl, line 2 is no JSON: "),
        ("a.jsonl", b'["a.jpg"]\n', "a.jsonl, line 1 is no object, as "),
        ("a.jsonl", b'{"path": ["a.jpg"]}\n', "the column `path` of .*a.jsonl holds .* of type list"),
    ],
)
def test_tables_that_are_none(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=said) as caught:
        listed(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_blanks_around_a_name(tmp_path):
    for name in ("a.jpg", " b.jpg", "c.jpg "):
        (tmp_path / name).touch()
    lines = ["a.jpg ", "\ta.jpg", " b.jpg", "c.jpg ", " https://h/d.jpg ", " s3://b/key "]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    source = open_source(str(tmp_path / "list.txt"))
    start = path_to_uri(str(tmp_path))
    assert [uri for uri, _version, _size in source._rows()] == [
        f"{start}/a.jpg", f"{start}/%20b.jpg", f"{start}/c.jpg%20", "https://h/d.jpg", "s3://b/key ",
    ]  # fmt: skip
    assert source.passed_over == {"entry that stands twice": 1}

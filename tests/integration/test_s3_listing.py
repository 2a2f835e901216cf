"""Listing S3: in pages that wait to be asked for, whatever keys are called, and only what is there now."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import ImageSource, open_source, read_image
from pixelbrain.sources.base import is_image_name
from pixelbrain.sources.gone import find_gone
from pixelbrain.storage.s3_client import s3_client
from tests.integration.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    aws_environment,
    faulty_proxy,
    rclone_server,
)

#: Those that rclone, before a file system, can hold.
ODD_NAMES = [
    "a b.jpg", "plus+sign.jpg", "per%2Fcent.jpg", "q?a#b%20&c=d;e.jpg", "ü ñ 猫 🐈.jpg", "quote'\"<&>.jpg",
    "new\nline.jpg", "tab\tand\x01.jpg", "UPPER.JPG", "back\\slash.jpg", "~tilde*{star}.jpg", " space at ends .jpg",
]  # fmt: skip
#: And those that only a key can be.
ODD_KEYS = ["deep//er.jpg", "/leading.jpg", "a/./b.jpg", "a/../c.jpg", "x" * 1020 + ".jpg", "ü" * 510 + ".jpg"]


def listed(source: ImageSource) -> list[dict]:
    return [row for table in source.list_images() for row in table.to_pylist()]


def names(uri: str, endpoint: str) -> list[str]:
    return [row["image_id"].split("/", 3)[3] for row in listed(open_source(uri, s3_endpoint=endpoint))]


@pytest.fixture(autouse=True)
def signed(s3: Any) -> Iterator[None]:
    """After `s3`, which sets other credentials when it starts."""
    with aws_environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY):
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """rclone, with the buckets `many` (10,050 objects) and `odd`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "many" / "in").mkdir(parents=True)
    for index in range(10_050):
        (folder / "many" / "in" / f"{index:05d}.jpg").write_bytes(b"")
    (folder / "odd").mkdir()
    with rclone_server(folder) as url:
        yield url


def test_ten_thousand_keys_come_in_pages_that_wait(server):
    with faulty_proxy(server) as proxy:
        tables = open_source("s3://many/in/", s3_endpoint=proxy.url).list_images()
        assert proxy.count("GET") == 1
        sizes = [len(first := next(tables))]
        assert proxy.count("GET") == 1  # of 11: work starts on these while the others are on the server
        ids = first["image_id"].to_pylist()
        for table in tables:
            sizes.append(len(table))
            ids += table["image_id"].to_pylist()
        assert proxy.count("GET") == 11
    assert sizes == [1000, 1000, 2000, 4000, 2050]
    assert ids == [f"s3://many/in/{index:05d}.jpg" for index in range(10_050)]


def test_a_server_that_lists_in_an_old_way_is_refused(server):
    """One that says that there is more, and not where; or that begins again: neither is taken for the end."""
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated>%s</ListBucketResult>"
    for token in (b"", b"<NextContinuationToken>x</NextContinuationToken>"):
        with faulty_proxy(server) as proxy:
            proxy.faults.append(Fault(target="GET", times=9, status=200, body=page % token))
            with pytest.raises(SourceError, match="says that there is more, and not where"):
                names("s3://many/in/", proxy.url)
            assert proxy.count("GET") <= 2


def test_odd_names_on_a_server_that_checks_signatures(server):
    for name in ODD_NAMES:
        s3_client(server).put_object(Bucket="odd", Key=name, Body=name.encode())
    rows = listed(open_source("s3://odd", s3_endpoint=server))
    assert sorted(row["image_id"] for row in rows) == sorted(f"s3://odd/{name}" for name in ODD_NAMES)
    for row in rows:
        found = read_image(row["image_id"], s3_endpoint=server)
        assert f"s3://odd/{found.data.decode()}" == row["image_id"]
        assert found.version == row["version"]


def test_odd_keys(s3):
    s3.create_bucket(Bucket="odd-keys")
    keys = [f"in/{name}" for name in ODD_NAMES if "\n" not in name] + ODD_KEYS  # moto takes no newline
    for key in keys:
        s3.put_object(Bucket="odd-keys", Key=key, Body=key.encode())
    rows = listed(open_source("s3://odd-keys", s3_endpoint=s3.meta.endpoint_url))
    assert sorted(row["image_id"] for row in rows) == sorted(f"s3://odd-keys/{key}" for key in keys)
    for row in rows:
        found = read_image(row["image_id"], s3_endpoint=s3.meta.endpoint_url)
        assert f"s3://odd-keys/{found.data.decode()}" == row["image_id"]
        assert (found.version, len(found.data)) == (row["version"], row["size_bytes"])
    assert names("s3://odd-keys//", s3.meta.endpoint_url) == ["/leading.jpg"]


def test_prefixes_and_folder_keys(s3):
    s3.create_bucket(Bucket="prefixes")
    sizes = {
        "photos": 0, "photos/": 0, "photos/a.jpg": 1, "photos/a.jpg/b.jpg": 1, "photos/a.jpgs/c.jpg": 1,
        "photos/sub/": 0, "photos/sub/d.JPEG": 1, "photos/empty.jpg": 0, "photos/notes.txt": 1, "photos-old/e.jpg": 1,
        "photos.jpg": 1, "photos/folder.jpg/": 0, "scan": 7, "scan/f.jpg": 1,
    }  # fmt: skip
    for key, size in sizes.items():
        s3.put_object(Bucket="prefixes", Key=key, Body=b"x" * size)
    below = ["photos/a.jpg", "photos/a.jpg/b.jpg", "photos/a.jpgs/c.jpg", "photos/empty.jpg", "photos/sub/d.JPEG"]
    expected = {
        "photos": below,
        "photos/": below,
        "photos/a.jpg": ["photos/a.jpg", "photos/a.jpg/b.jpg"],
        "photos/a.jp": [],
        "photos/sub": ["photos/sub/d.JPEG"],
        "scan": ["scan", "scan/f.jpg"],  # meant by its name, whatever it is called
        "": [*below, "photos-old/e.jpg", "photos.jpg", "scan/f.jpg"],
    }
    for prefix, keys in expected.items():
        source = open_source(f"s3://prefixes/{prefix}", s3_endpoint=s3.meta.endpoint_url)
        found = [row["image_id"].removeprefix("s3://prefixes/") for row in listed(source)]
        assert sorted(found) == sorted(keys), prefix
        covered = [key for key in sizes if source.covers(f"s3://prefixes/{key}") and (sizes[key] or is_image_name(key))]
        assert sorted(covered) == sorted(keys), prefix


def test_only_the_newest_version_that_is_not_deleted(s3):
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two!", b"three"):
        s3.put_object(Bucket="versioned", Key="kept.jpg", Body=body)
    s3.put_object(Bucket="versioned", Key="gone.jpg", Body=b"x")
    s3.delete_object(Bucket="versioned", Key="gone.jpg")  # which leaves a marker
    [row] = listed(open_source("s3://versioned/", s3_endpoint=s3.meta.endpoint_url))
    assert (row["image_id"], row["size_bytes"]) == ("s3://versioned/kept.jpg", 5)
    assert read_image(row["image_id"], s3_endpoint=s3.meta.endpoint_url) == (b"three", row["version"])
    with pytest.raises(ReadError, match="^no such object$"):
        read_image("s3://versioned/gone.jpg", s3_endpoint=s3.meta.endpoint_url)


def tar_of(**members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"{name}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_tars_are_listed_by_their_headers_and_read_by_ranges(server):
    """Of one version: on a server that knows If-Match no better than rclone does."""
    client = s3_client(server)
    for key in ("tars/a#1.tar", "tars/b.tar"):
        client.put_object(Bucket="odd", Key=key, Body=tar_of(one=b"1" * 300_000, two=b"2" * 300_000, empty=b""))
    with faulty_proxy(server) as proxy:
        rows = listed(open_source("s3://odd/tars/*.tar", s3_endpoint=proxy.url))
        assert [row["image_id"] for row in rows[:4]] == [
            f"tar+s3://odd/tars/{name}"
            for name in ("a%231.tar#/one.jpg", "a%231.tar#/two.jpg", "a%231.tar#/empty.jpg", "b.tar#/one.jpg")
        ]
        assert len(rows) == 6 and proxy.count("GET") <= 12  # the tail, where three headers are, and those before it
        before = proxy.count("GET")
        found = read_image(rows[1]["image_id"], version=rows[1]["version"], s3_endpoint=proxy.url)
        assert found == (b"2" * 300_000, rows[1]["version"]) and proxy.count("GET") == before + 1
        proxy.faults.append(Fault(target="GET", cut_after=1000))  # a part that breaks off goes on where it was
        assert read_image(rows[0]["image_id"], version=rows[0]["version"], s3_endpoint=proxy.url).data == b"1" * 300_000
    client.put_object(Bucket="odd", Key="tars/b.tar", Body=tar_of(two=b"new"))
    again = read_image(rows[4]["image_id"], version=rows[4]["version"], s3_endpoint=server)
    assert again.data == b"new" and again.version != rows[4]["version"]
    assert find_gone([row["image_id"] for row in rows], s3_endpoint=server) == [False, False, False, True, False, True]
    with pytest.raises(ReadError, match="no such object"):
        read_image("tar+s3://odd/tars/none.tar#/a.jpg", s3_endpoint=server)


def test_a_tar_on_a_server_that_knows_if_match(s3):
    s3.create_bucket(Bucket="shards")
    endpoint = s3.meta.endpoint_url
    whole = tar_of(one=b"1" * 200_000, two=b"2" * 200_000)
    s3.put_object(Bucket="shards", Key="a.tar", Body=whole[:300_000])
    s3.put_object(Bucket="shards", Key="no.tar", Body=b"")
    rows = listed(open_source("s3://shards/*.tar", s3_endpoint=endpoint))
    assert [row["image_id"].partition("shards/")[2] for row in rows] == [
        "a.tar#/one.jpg", "a.tar#/two.jpg", "a.tar#/", "no.tar#/",
    ]  # fmt: skip
    assert read_image(rows[0]["image_id"], version=rows[0]["version"], s3_endpoint=endpoint).data == b"1" * 200_000
    for row, said in zip(rows[1:], ("cut off: only", "the archive is cut off", "it is no tar file"), strict=True):
        with pytest.raises(ReadError, match=said):
            read_image(row["image_id"], version=row["version"], s3_endpoint=endpoint)
    s3.put_object(Bucket="shards", Key="a.tar", Body=whole)  # longer, and the same range is of another version
    found = read_image(rows[1]["image_id"], version=rows[1]["version"], s3_endpoint=endpoint)
    assert found.data == b"2" * 200_000 and found.version != rows[1]["version"]
    assert [row["version"] for row in listed(open_source("s3://shards/a.tar", s3_endpoint=endpoint))][
        1
    ] == found.version


def test_parquet_files_with_images(s3):
    s3.create_bucket(Bucket="tables")
    endpoint = s3.meta.endpoint_url
    for key, images in ("in/0.parquet", [b"0" * 200_000, b"1"]), ("in/1.parquet", [b"2", None]):
        file = io.BytesIO()
        pq.write_table(pa.table({"image": [{"bytes": data, "path": None} for data in images]}), file, row_group_size=1)
        s3.put_object(Bucket="tables", Key=key, Body=file.getvalue())
    s3.put_object(Bucket="tables", Key="in/2.parquet", Body=b"nothing")
    rows = listed(open_source("s3://tables/in/*.parquet", s3_endpoint=endpoint))
    assert [row["image_id"].partition("in/")[2] for row in rows] == [
        "0.parquet#/image/0", "0.parquet#/image/1", "1.parquet#/image/0", "1.parquet#/image/1", "2.parquet#/",
    ]  # fmt: skip
    read = [read_image(row["image_id"], version=row["version"], s3_endpoint=endpoint) for row in rows[:3]]
    assert [(len(one.data), one.version) for one in read] == [
        (size, row["version"]) for size, row in zip((200_000, 1, 1), rows[:3], strict=True)
    ]
    for row, said in zip(rows[3:], ("row 1 has no bytes", "it is no Parquet file"), strict=True):
        with pytest.raises(ReadError, match=said):
            read_image(row["image_id"], version=row["version"], s3_endpoint=endpoint)


def test_an_empty_place_is_an_empty_listing(s3, tmp_path: Path):
    s3.create_bucket(Bucket="empty")
    assert listed(open_source("s3://empty/", s3_endpoint=s3.meta.endpoint_url)) == []
    assert listed(open_source("s3://empty/nothing/here", s3_endpoint=s3.meta.endpoint_url)) == []


def test_a_list_file_is_not_read_from_s3():
    with pytest.raises(SourceError, match="a list file is read from disk: copy s3://b/list.csv here"):
        open_source("s3://b/list.csv")

"""S3 over HTTP: listed in pages, read, and its errors said in one line."""

from __future__ import annotations

import pytest

import pixelbrain as pb
from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_bytes
from tests.unit.engine.modules_for_tests import Size


def listed(uri: str, endpoint: str) -> list[dict]:
    source = open_source(uri, s3_endpoint=endpoint)
    return [row for table in source.list_images() for row in table.to_pylist()]


@pytest.fixture(scope="module")
def bucket(s3, encode) -> str:
    s3.create_bucket(Bucket="photos")
    body = encode()
    for index in range(1100):  # more than a page
        s3.put_object(Bucket="photos", Key=f"many/{index:05d}.jpg", Body=body)
    odd = ["a b.jpg", "plus+sign.jpg", "ü.jpg", "deep//er.jpg", "q?a#b%20.jpg", "UPPER.JPG"]
    for name in odd:
        s3.put_object(Bucket="photos", Key=f"odd/{name}", Body=body)
    s3.put_object(Bucket="photos", Key="odd/", Body=b"")
    s3.put_object(Bucket="photos", Key="odd/notes.txt", Body=b"no image")
    s3.put_object(Bucket="photos", Key="odd-ones/x.jpg", Body=body)
    s3.put_object(Bucket="photos", Key="odd/broken.jpg", Body=body[:100])
    return s3.meta.endpoint_url


def test_listing_pages(bucket):
    rows = listed("s3://photos/many/", bucket)
    assert len(rows) == 1100
    assert [r["image_id"] for r in rows] == [f"s3://photos/many/{i:05d}.jpg" for i in range(1100)]
    assert all(r["version"] and r["size_bytes"] for r in rows)


def test_odd_keys_are_listed_and_read(bucket, encode):
    rows = listed("s3://photos/odd", bucket)
    assert len(rows) == 7 and not any("odd-ones" in r["image_id"] for r in rows)
    for row in rows:
        data = read_bytes(row["image_id"], s3_endpoint=bucket)
        assert len(data) == row["size_bytes"]


def test_one_object_is_a_source(bucket):
    assert len(listed("s3://photos/odd/a b.jpg", bucket)) == 1


def test_errors_are_said(bucket, monkeypatch):
    with pytest.raises(SourceError, match="cannot list s3://absent/x: no such bucket"):
        listed("s3://absent/x", bucket)
    with pytest.raises(ReadError, match="no such object"):
        read_bytes("s3://photos/gone.jpg", s3_endpoint=bucket)
    with pytest.raises(SourceError, match="no bucket"):
        listed("s3://", bucket)


def test_no_server_is_said(monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceError, match="cannot list s3://b/: .*127.0.0.1:9"):
        listed("s3://b/", "http://127.0.0.1:9")


@pytest.mark.usefixtures("ray_running")
def test_extract_from_s3(bucket, tmp_path):
    report = pb.Pipeline(pb.DataLoader("s3://photos/odd/", s3_endpoint=bucket), [Size()]).extract(tmp_path / "out")
    assert (report.listed, report.done, report.failed) == (7, 7, 1)
    rows = [row for table in pb.Landing(tmp_path / "out").iter_images() for row in table.to_pylist()]
    assert {r["image_id"] for r in rows if r["status"] == "ok"} == {
        f"s3://photos/odd/{n}"
        for n in ["a b.jpg", "plus+sign.jpg", "ü.jpg", "deep//er.jpg", "q?a#b%20.jpg", "UPPER.JPG"]
    }

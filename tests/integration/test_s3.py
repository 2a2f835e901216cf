"""Extraction from S3, over HTTP; how S3 is listed and read is tested in test_s3_listing, _faults, _access, _secrets."""

from __future__ import annotations

import pixelbrain as pb
from tests.unit.engine.modules_for_tests import Size

NAMES = ["a b.jpg", "plus+sign.jpg", "ü.jpg", "deep//er.jpg", "q?a#b%20.jpg", "UPPER.JPG"]


def test_extract_from_s3(s3, encode, tmp_path):
    s3.create_bucket(Bucket="photos")
    for name in [*NAMES, "notes.txt"]:
        s3.put_object(Bucket="photos", Key=f"odd/{name}", Body=encode())
    s3.put_object(Bucket="photos", Key="odd/", Body=b"")
    s3.put_object(Bucket="photos", Key="odd-ones/x.jpg", Body=encode())
    s3.put_object(Bucket="photos", Key="odd/broken.jpg", Body=encode()[:100])
    photos = pb.DataLoader("s3://photos/odd/", s3_endpoint=s3.meta.endpoint_url)
    report = pb.Pipeline(photos, [Size()], executor="local").extract(tmp_path / "out")
    assert (report.listed, report.done, report.failed) == (7, 7, 1)
    rows = [row for table in pb.Landing(tmp_path / "out").iter_images() for row in table.to_pylist()]
    assert {r["image_id"] for r in rows if r["status"] == "ok"} == {f"s3://photos/odd/{name}" for name in NAMES}

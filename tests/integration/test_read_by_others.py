"""OUT in S3 as pandas and Ray see it, after each command: every image once, every face once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.fs
import pyarrow.parquet as pq

import pixelbrain as pb

MODULES = "tests.integration.test_reruns"
BUCKET = "read-by-others"


def test_after_every_command_each_row_is_there_once(tmp_path, command, encode, s3, ray_running):
    s3.create_bucket(Bucket=BUCKET)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(5):
        (photos / f"{number}.png").write_bytes(encode("PNG", size=(20 + number, 10)))
    (photos / "broken.png").write_bytes(b"half a photo")
    endpoint = s3.meta.endpoint_url.removeprefix("http://")
    filesystem = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint, scheme="http", access_key="testing", secret_key="not-a-secret", region="us-east-1"
    )

    def extract(*modules: str, more: tuple[str, ...] = ()) -> None:
        named = [word for module in modules for word in ("--module", f"{MODULES}:{module}")]
        place = ("--out", f"s3://{BUCKET}/out", "--s3-endpoint", s3.meta.endpoint_url, "--executor", "local")
        command("extract", photos, *place, *named, *more)

    def images() -> dict[str, dict[str, Any]]:
        """By file name, what pandas sees; each file can be read beside the others."""
        folder = f"{BUCKET}/out/images"
        files = [file.path for file in filesystem.get_file_info(pyarrow.fs.FileSelector(folder))]
        assert len({str(pq.read_schema(file, filesystem=filesystem).remove_metadata()) for file in files}) == 1
        found = pd.read_parquet(folder, filesystem=filesystem).to_dict("records")
        named = {Path(row["image_id"]).name: row for row in found}
        assert len(named) == len(found)
        return named

    extract("Wide", more=("--limit", "3"))
    assert len(images()) == 3
    extract("Wide")
    extract("Wide", "High", more=("--limit", "2"))  # a module that has not seen all
    found = images()
    assert len(found) == 6 and found["0.png"]["high"]["value"] == 10 and found["4.png"]["high"] is None
    extract("WideInMillimetres", "High", "Faces")
    (photos / "1.png").write_bytes(encode("PNG", size=(50, 11)))
    (photos / "broken.png").write_bytes(encode("PNG", size=(60, 10)))
    (photos / "2.png").unlink()
    extract("WideInMillimetres", "High", "Faces", more=("--retry-failed", "--prune"))
    found = images()
    assert {name: row["wide"]["value"] for name, row in found.items()} == {
        "0.png": 20_000, "1.png": 50_000, "3.png": 23_000, "4.png": 24_000, "broken.png": 60_000
    }  # fmt: skip

    landed = pb.open(f"s3://{BUCKET}/out", s3_endpoint=s3.meta.endpoint_url)
    by_ray = landed.to_ray().take_all()
    assert sorted(row["image_id"] for row in by_ray) == sorted(row["image_id"] for row in found.values())
    faces = landed.to_ray("faces").take_all()
    ids = [face["face_id"] for row in found.values() for face in row["facenet"]["faces"]]
    assert len(ids) == 11 and sorted(face["face_id"] for face in faces) == sorted(ids)
    query = "SELECT sum(n_faces)::INT AS faces, max(wide.value) AS widest FROM images"
    assert landed.sql(query).to_pylist() == [{"faces": 11, "widest": 60_000}]

    assert landed.export(f"s3://{BUCKET}/shards", format="webdataset", shard_size=1) == 5  # as whole objects
    assert landed.export(f"s3://{BUCKET}/faces.json", format="coco") == 5
    coco = json.loads(s3.get_object(Bucket=BUCKET, Key="faces.json")["Body"].read())
    assert sorted(one["face_id"] for one in coco["annotations"]) == sorted(ids)
    index = json.loads(s3.get_object(Bucket=BUCKET, Key="shards/index.json")["Body"].read())
    tars = [s3.get_object(Bucket=BUCKET, Key=f"shards/{one['url']}")["Body"].read() for one in index["shardlist"]]
    first = {one[:100].rstrip(b"\0") for one in tars}  # of a tar file's members: the photo
    assert len(first) == 5 and all(name.endswith(b".png") for name in first)

"""Pictures are merged, and those of images that went, or changed, go."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.landing.compact import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import write_table
from pixelbrain.landing.remaining import prune


def test_pictures_of_what_is_there_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.pictures._ROWS", 4)
    landing = Landing(tmp_path)
    base = [{"image_id": one, "version": "2", "status": "ok"} for one in "abcd"]
    images = pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS))
    landing.write_part(images, generation=1, block=0, piece=0, modules={})
    for number, (ids, version) in enumerate([("abc", "1"), ("ab", "2"), ("c", "2"), ("d", "2")]):
        rows = [{"image_id": one, "version": version, "box": None, "picture": one.encode()} for one in ids]
        table = pa.Table.from_pylist(rows, schema.PICTURE_SCHEMA)
        write_table(landing.storage, f"{schema.PICTURES}/part-{number}.parquet", table)
    prune(landing, images.select(schema.MANIFEST_SCHEMA.names).slice(3))
    for _ in range(2):
        compact(landing)
        found = pq.read_table(tmp_path / schema.PICTURES).to_pylist()
        assert sorted((one["image_id"], one["version"], one["picture"]) for one in found) == [
            ("a", "2", b"a"),
            ("b", "2", b"b"),
            ("c", "2", b"c"),
        ]
        assert len(list((tmp_path / schema.PICTURES).iterdir())) == 2  # of four: one was large, and all alive

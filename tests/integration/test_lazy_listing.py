"""Work starts while a large source is still being listed."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest
import ray

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.engine import ray_private
from pixelbrain.errors import SourceError
from pixelbrain.landing.parts import ModuleState
from tests.unit.engine.modules_for_tests import Size
from tests.unit.engine.test_ray_private import Feed, executor

TABLE = 10_000
TABLES = 4


class SlowLoader(pb.DataLoader):
    """Lists 40,000 images, and the last 10,000 of them not before something has landed."""

    def list_images(self):
        folder = Path(self.source)
        photos = [
            (path.as_uri(), f"{path.stat().st_mtime_ns}-{path.stat().st_size}", path.stat().st_size)
            for path in sorted(folder.glob("*.jpg"))
        ]
        for number in range(TABLES):
            if number == TABLES - 1:
                deadline = time.monotonic() + 120
                while not list((folder / "out" / "images").glob("part-000002-*")) and time.monotonic() < deadline:
                    time.sleep(0.1)
                assert time.monotonic() < deadline, "nothing landed while the listing waited"
            rows = (photos if number == 0 else []) + [old(number, i) for i in range(TABLE - 10 * (number == 0))]
            yield pa.Table.from_pylist([dict(zip(schema.MANIFEST_SCHEMA.names, r, strict=True)) for r in rows])


def old(number: int, index: int) -> tuple[str, str, int]:
    """An image that landed long ago."""
    return f"s3://bucket/{number}/{index:06d}.jpg", "an-etag", 1


@pytest.mark.usefixtures("ray_running")
def test_images_land_before_the_listing_ends(tmp_path, encode):
    for index in range(10):
        (tmp_path / f"{index}.jpg").write_bytes(encode(size=(20 + index, 20)))
    landing = pb.Landing(tmp_path / "out")
    seen = [old(n, i) for n in range(TABLES) for i in range(TABLE)]
    rows = pa.table(
        {
            "image_id": [image_id for image_id, _, _ in seen],
            "version": [version for _, version, _ in seen],
            **{f.name: pa.nulls(len(seen), f.type) for f in schema.BASE_FIELDS[2:] if f.name != "status"},
            "status": ["ok"] * len(seen),
            "size": pa.nulls(len(seen), Size().struct_type()),
        }
    )
    state = ModuleState(settings=Size().settings(), model=None)
    landing.write_part(rows, generation=1, block=0, piece=0, modules={"size": state})

    report = pb.Pipeline(SlowLoader(str(tmp_path)), [Size()]).extract(tmp_path / "out")
    assert (report.listed, report.done, report.failed) == (TABLES * TABLE, 10, 0)
    landing.refresh()
    assert landing.count_images() == TABLES * TABLE + 10


class LostLoader(pb.DataLoader):
    """Lists 20,000 images that are not there, and then the server is gone."""

    def list_images(self):
        names = [(f"file:///nowhere/{number}.jpg", "1", 1) for number in range(2 * TABLE)]
        rows = [dict(zip(schema.MANIFEST_SCHEMA.names, row, strict=True)) for row in names]
        yield pa.Table.from_pylist(rows, schema=schema.MANIFEST_SCHEMA)
        yield schema.MANIFEST_SCHEMA.empty_table()
        raise SourceError("the server is gone")


@pytest.mark.usefixtures("ray_running")
def test_a_listing_that_fails_is_an_error_as_it_is_and_gives_the_actors_back(tmp_path):
    with pytest.raises(SourceError, match="^the server is gone$") as raised:
        pb.Pipeline(LostLoader(str(tmp_path)), [Size()]).extract(tmp_path / "out")
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"]
    assert raised.value.__context__ is None  # whose frames would hold them


@pytest.mark.usefixtures("ray_running")
def test_a_source_is_given_blocks_as_there_is_room_and_keeps_the_last_ones():
    feed, (its, queue) = Feed(1000), executor()
    (source,) = its._topology
    callback = ray_private.between_steps(lambda: lambda: None, feed)[0]()
    callback.before_execution_starts(its)
    assert not source.has_completed()  # as one that begins with no block is
    callback.on_execution_step(its)
    queue.num_blocks = 60
    callback.on_execution_step(its)
    assert feed.asked == [(64, True), (4, False)]  # where blocks wait, no other is waited for
    seen = []
    while feed.left or source.has_next():
        while source.has_next():
            seen.append(ray.get(source.get_next().block_refs[0])["block"][0].as_py())
        queue.num_blocks = 0
        callback.on_execution_step(its)
    assert seen == list(range(1000)) and source.has_completed()
    assert len(source._input_data) == 256  # and not all that were ever handed out

"""The work on a block, without Ray: every image lands as one row, whatever happens to it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.tally import SUMMARY_SCHEMA
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.errors import LandingError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, part_name
from pixelbrain.storage.local import LocalStorage
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Deadly, Size

STATE = ModuleState(settings={}, model=None)


def blocks_of(folder, out, *, block_rows=100, generation=1) -> list[pa.Table]:
    worklist = Worklist(
        loader=DataLoader(str(folder)),
        storage=open_storage(out),
        settings_hashes={"size": STATE.settings_hash},
        generation=generation,
    )
    return list(blocks(worklist, block_rows))


def worker_for(out, generation=1, **options) -> ImageWorker:
    return ImageWorker(
        [Size()], WorkOrder(storage=open_storage(out), generation=generation, states={"size": STATE}), **options
    )


def work(folder, out, generation=1) -> dict:
    (block,) = blocks_of(folder, out, generation=generation)
    summary = worker_for(out, generation)(block)
    assert summary.schema == SUMMARY_SCHEMA and len(summary) == 1
    return summary.to_pylist()[0]


def rows_of(out) -> dict[str, dict]:
    return {r["image_id"].rsplit("/", 1)[1]: r for t in Landing(out).iter_images() for r in t.to_pylist()}


def test_every_image_is_one_row(photo_folder, tmp_path):
    summary = work(photo_folder, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 7
    good = rows["0.jpg"]
    assert good["status"] == "ok" and good["size"] == {"pixels": 2400, "error_type": None, "error": None}
    assert len(good["sha256"]) == 64 and (good["width"], good["height"], good["format"]) == (60, 40, "JPEG")
    assert rows["broken.jpg"]["status"] == rows["empty.jpeg"]["status"] == "failed"
    assert rows["broken.jpg"]["error_type"] == "DecodeError" and rows["broken.jpg"]["size"] is None
    assert rows["empty.jpeg"]["error"] == "the file is empty"
    assert rows["1.jpg"]["status"] == "ok" and rows["1.jpg"]["size"]["error_type"] == "RuntimeError"
    assert rows["2.jpg"]["size"]["error_type"] == "ModuleError"
    assert "fields()" in rows["2.jpg"]["size"]["error"]
    assert summary["images"] == 7 and summary["failed"] == 4
    kinds = {"DecodeError": 2, "size: RuntimeError": 1}
    assert json.loads(summary["failures"]).items() >= kinds.items()


def test_a_block_is_worked_on_while_the_one_before_lands_and_is_done_when_it_has_landed(photo_folder, tmp_path):
    """Two calls at once, of one worker; the module is one thread's, as it may hold what is, too."""
    may_land, threads = threading.Event(), set()

    class OfOneThread(Size):
        def setup(self, device):
            threads.add(threading.get_ident())

        def process(self, image):
            threads.add(threading.get_ident())
            return super().process(image)

    class Slow(LocalStorage):
        """A disk that waits with the first block."""

        def write_with(self, name, fill):
            if name.endswith(part_name(1, 0, 0).rpartition("/")[2]):
                assert may_land.wait(60)
            super().write_with(name, fill)

    order = WorkOrder(storage=Slow(tmp_path / "out"), generation=1, states={"size": STATE})
    worker = ImageWorker([OfOneThread()], order)
    one, two, *_ = blocks_of(photo_folder, tmp_path / "out", block_rows=3)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(worker, one), pool.submit(worker, two)
        try:
            assert second.result(timeout=60)["images"].to_pylist() == [3] and len(rows_of(tmp_path / "out")) == 3
            assert not first.done()
        finally:
            may_land.set()
        assert first.result(timeout=60)["images"].to_pylist() == [3] and len(rows_of(tmp_path / "out")) == 6
    assert [name for name in order.storage.names("work") if name.startswith("doing")] == []
    assert len(threads) == 1


def test_what_cannot_land_is_said_by_the_block(photo_folder, tmp_path):
    class Full(LocalStorage):
        def write_with(self, name, fill):
            if name.endswith(".parquet"):
                raise LandingError("no room")
            super().write_with(name, fill)

    (block,) = blocks_of(photo_folder, tmp_path / "out")
    with pytest.raises(LandingError, match="no room"):
        ImageWorker([Size()], WorkOrder(storage=Full(tmp_path / "out"), generation=1, states={"size": STATE}))(block)


def test_a_retried_block_does_only_what_its_first_try_did_not(photo_folder, tmp_path):
    (block,) = blocks_of(photo_folder, tmp_path / "out")
    first = block["images"].to_pylist()[0][:3]
    part = pa.table({**{name: block[name] for name in ("block", "modules")}, "images": [first]}, block.schema)
    assert worker_for(tmp_path / "out")(part).to_pylist()[0]["images"] == 3
    before = {part.name for part in Landing(tmp_path / "out").parts}
    assert worker_for(tmp_path / "out")(block).to_pylist()[0]["images"] == 7
    parts = Landing(tmp_path / "out").parts
    assert before < {part.name for part in parts} and sum(part.rows for part in parts) == 7


def test_a_file_that_vanished_is_a_row(photo_folder, tmp_path):
    (block,) = blocks_of(photo_folder, tmp_path / "out")
    (photo_folder / "0.jpg").unlink()
    worker_for(tmp_path / "out")(block)
    row = rows_of(tmp_path / "out")["0.jpg"]
    assert (row["status"], row["error_type"]) == ("failed", "ReadError")


def test_a_stop_lands_what_is_done_and_takes_nothing_new(photo_folder, tmp_path):
    (block,) = blocks_of(photo_folder, tmp_path / "out")
    worker = worker_for(tmp_path / "out")
    RunNotes(worker.landing.storage).request_stop()
    assert worker(block).to_pylist()[0]["images"] == 0
    assert not Landing(tmp_path / "out").exists()

    stopping = worker_for(tmp_path / "other")
    stopping.notes.stop_requested = iter([False, False, True, True, True]).__next__
    assert stopping(block).to_pylist()[0]["images"] == 4  # two batches of two
    assert len(rows_of(tmp_path / "other")) == 4


@pytest.mark.usefixtures("forked")
def test_a_block_that_killed_two_workers_goes_through_another_process(photo_folder, tmp_path):
    (block,) = blocks_of(photo_folder, tmp_path / "out")
    for _ in range(2):  # they said that they have it, and nothing more
        worker_for(tmp_path / "out").notes.begin("0")
    assert worker_for(tmp_path / "out", wary=True).notes.deaths_over("0") == 2
    summary = worker_for(tmp_path / "out", wary=True)(block).to_pylist()[0]
    assert summary["images"] == 7 and summary["failed"] == 4
    assert len(rows_of(tmp_path / "out")) == 7


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("signal_name", "says"), [("SIGSEGV", "SIGSEGV"), ("SIGKILL", "out of memory perhaps")])
def test_an_image_that_kills_its_process_is_a_failed_row(photo_folder, tmp_path, encode, signal_name, says):
    (photo_folder / "deadly.jpg").write_bytes(encode(size=(77, 40)))
    (block,) = blocks_of(photo_folder, tmp_path / "out")
    order = WorkOrder(storage=open_storage(tmp_path / "out"), generation=1, states={"size": STATE})
    worker = ImageWorker([Deadly(signal_name)], order, wary=True)
    for _ in range(2):
        worker_for(tmp_path / "out").notes.begin("0")
    summary = worker(block).to_pylist()[0]
    rows = rows_of(tmp_path / "out")
    assert len(rows) == summary["images"] == 8
    assert rows["deadly.jpg"]["error_type"] == "WorkerCrashError" and says in rows["deadly.jpg"]["error"]
    assert rows["0.jpg"]["size"]["pixels"] == 2400 and rows["five%20%C3%BC%20%231.webp"]["status"] == "ok"

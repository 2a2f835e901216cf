"""The staged work without Ray: the same rows as the fused work, nothing twice, and images that kill are isolated."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import pyarrow as pa
import pytest

from pixelbrain.engine.work.chunks import unpack
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.tally import SUMMARY_SCHEMA
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import Resources
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Deadly, Size

STATE = ModuleState(settings={}, model=None)


class Again(Size):
    """The same under another name."""

    name = "again"


class Line:
    """Decoder, modules and lander, one after another, as the engine wires them."""

    def __init__(self, out, modules, *, chunk_rows=3, generation=1, batch=1, **options) -> None:
        states = {module.name: STATE for module in modules}
        order = WorkOrder(storage=open_storage(out), generation=generation, states=states)
        models = [module for module in modules if not module.resources.with_decoder]
        names = [module.name for module in models]
        self.decoder = Decoder(modules, order, chunk_rows, **options)
        self.runners = [
            ModelRunner(module, order, names[i + 1 :], **options) for i, module in enumerate(models)
        ]  # fmt: skip
        self.lander = Lander(order)
        self.batch = batch

    def chunks(self, block: pa.Table) -> Iterator[pa.Table]:
        """Finished chunks, `batch` of them at a time through the modules."""
        made = list(self.decoder(block))
        for start in range(0, len(made), self.batch):
            table = pa.concat_tables(made[start : start + self.batch])
            yield functools.reduce(lambda chunk, runner: runner(chunk), self.runners, table)

    def __call__(self, block: pa.Table) -> list[dict]:
        summary = pa.concat_tables(self.lander(table) for table in self.chunks(block))
        assert summary.schema == SUMMARY_SCHEMA
        return summary.to_pylist()


def block_of(folder, out, modules, generation=1) -> pa.Table:
    worklist = Worklist(
        loader=DataLoader(str(folder)),
        storage=open_storage(out),
        settings_hashes={module.name: STATE.settings_hash for module in modules},
        generation=generation,
    )
    (block,) = blocks(worklist, 100)
    return block


def rows_of(out) -> dict[str, dict]:
    return {r["image_id"]: r for t in Landing(out).iter_images() for r in t.to_pylist()}


def pixels(rows: dict[str, dict], module: str) -> list:
    return [row[module] and (row[module]["pixels"], row[module]["error_type"]) for row in rows.values()]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_rows_are_those_of_the_fused_layout(photo_folder, tmp_path, batch):
    modules = [Size(), Again()]
    block = block_of(photo_folder, tmp_path / "staged", modules)
    found = Line(tmp_path / "staged", modules, batch=batch)(block)
    order = WorkOrder(storage=open_storage(tmp_path / "fused"), generation=1, states={m.name: STATE for m in modules})
    summary = ImageWorker(modules, order)(block).to_pylist()[0]
    assert len(rows_of(tmp_path / "staged")) == 7
    assert rows_of(tmp_path / "staged") == rows_of(tmp_path / "fused")
    assert sum(row["images"] for row in found) == summary["images"] == 7
    assert sum(row["failed"] for row in found) == summary["failed"]
    failures: dict[str, int] = {}
    for row in found:
        for kind, count in json.loads(row["failures"]).items():
            failures[kind] = failures.get(kind, 0) + count
    assert failures == json.loads(summary["failures"])


class Beside(Size):
    """The same, in the decoders, without a pool."""

    name = "beside"
    resources = Resources(with_decoder=True)

    def setup(self, device="cpu"):
        raise AssertionError("it has no model to load")


def test_what_runs_with_the_decoder_sends_no_photo_on(photo_folder, tmp_path):
    modules = [Beside(), Size()]
    block = block_of(photo_folder, tmp_path / "staged", modules)
    line = Line(tmp_path / "staged", modules)
    assert not [name for table in line.decoder(block) for name in table.column_names if name == "input.beside"]
    line(block)
    order = WorkOrder(storage=open_storage(tmp_path / "fused"), generation=1, states={m.name: STATE for m in modules})
    ImageWorker(modules, order)(block)
    found = rows_of(tmp_path / "staged")
    assert len(found) == 7 and found == rows_of(tmp_path / "fused")
    assert pixels(found, "beside") == pixels(found, "size")
    assert sum(row["beside"] is None or row["beside"]["error_type"] is not None for row in found.values()) == 4


def test_a_chunk_goes_on_with_the_inputs_of_later_modules_only(photo_folder, tmp_path):
    modules = [Size(), Again()]
    line = Line(tmp_path / "out", modules, chunk_rows=100)
    (made,) = line.decoder(block_of(photo_folder, tmp_path / "out", modules))
    assert {"input.size", "input.again"} <= set(made.column_names)
    after = line.runners[0](made)
    assert "input.size" not in after.column_names and after.nbytes < made.nbytes
    assert unpack(after)[0].rows.column_names[-1] == "size"


def test_what_has_landed_is_not_done_again(photo_folder, tmp_path):
    """A node died: Ray does the block again, and its chunks have the same numbers."""
    out, modules = tmp_path / "out", [Size()]
    block = block_of(photo_folder, out, modules)
    line = Line(out, modules)
    first, *_ = line.chunks(block)
    line.lander(first)
    before = {part.name for part in Landing(out).parts}
    again = list(line.decoder(block))
    assert [chunk.landed for table in again for chunk in unpack(table)] == [3, 0, 0]
    assert sum(row["images"] for row in line(block)) == 7
    parts = Landing(out).parts
    assert before < {part.name for part in parts} and sum(part.rows for part in parts) == 7


def test_a_stop_lands_what_all_modules_have_seen(photo_folder, tmp_path):
    out, modules = tmp_path / "out", [Size(), Again()]
    block = block_of(photo_folder, out, modules)
    line = Line(out, modules)
    made = list(line.decoder(block))
    done = line.runners[1](line.runners[0](made[0]))
    half = line.runners[0](made[1])
    line.runners[1].notes.request_stop()
    for runner in line.runners:
        runner.notes.stop_requested = lambda: True
    line.decoder.notes.stop_requested = lambda: True
    assert line.lander(done).to_pylist()[0]["images"] == 3
    assert line.lander(line.runners[1](half)).to_pylist()[0]["images"] == 0
    assert sum(row["images"] for row in line(block)) == 3  # the chunk that is there
    assert len(rows_of(out)) == 3


@pytest.mark.usefixtures("forked")
def test_a_block_that_killed_two_decoders_is_opened_in_another_process(photo_folder, tmp_path):
    out, modules = tmp_path / "out", [Size(), Beside()]
    block = block_of(photo_folder, out, modules)
    for _ in range(2):
        Line(out, modules).decoder.notes.begin("0")
    found = Line(out, modules, wary=True)(block)
    assert sum(row["images"] for row in found) == 7 and sum(row["failed"] for row in found) == 4
    rows = rows_of(out)
    assert len(rows) == 7 and pixels(rows, "beside") == pixels(rows, "size")


@pytest.mark.usefixtures("forked")
def test_an_image_that_kills_a_model_is_its_modules_error(photo_folder, tmp_path, encode):
    (photo_folder / "deadly.jpg").write_bytes(encode(size=(77, 40)))
    out, modules = tmp_path / "out", [Deadly("SIGSEGV")]
    block = block_of(photo_folder, out, modules)
    line = Line(out, modules, chunk_rows=100, wary=True)
    (made,) = line.decoder(block)
    (chunk,) = unpack(made)
    Line(out, modules).runners[0].notes.begin(f"{modules[0].name} {chunk.block}-{chunk.piece}")
    line.lander(line.runners[0](made))
    rows = rows_of(out)
    assert len(rows) == 8
    (deadly,) = [row for image_id, row in rows.items() if image_id.endswith("/deadly.jpg")]
    name = modules[0].name
    assert deadly["status"] == "ok" and deadly[name]["error_type"] == "WorkerCrashError"
    assert "SIGSEGV" in deadly[name]["error"]
    assert sum(row[name] is not None and row[name]["error_type"] is None for row in rows.values()) >= 3

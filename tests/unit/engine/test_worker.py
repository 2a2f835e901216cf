"""The work on a block, without Ray: every image lands as one row, whatever happens to it."""

from __future__ import annotations

import json

import pyarrow as pa

from pixelbrain.engine.worker import SUMMARY_SCHEMA, ImageWorker, WorkOrder
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.resume import pending
from tests.unit.engine.modules_for_tests import Size

STATE = ModuleState(settings={}, model=None)


def block_of(folder) -> pa.Table:
    manifest = pa.concat_tables(DataLoader(str(folder)).list_images())
    return manifest.append_column("block", pa.array([0] * len(manifest)))


def work(folder, out, generation=1) -> dict:
    order = WorkOrder(out=str(out), generation=generation, states={"size": STATE})
    summary = ImageWorker([Size()], order)(block_of(folder))
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


def test_a_retried_block_writes_over_its_own_files(photo_folder, tmp_path):
    work(photo_folder, tmp_path / "out")
    work(photo_folder, tmp_path / "out")
    assert sum(part.rows for part in Landing(tmp_path / "out").parts) == 7


def test_a_file_that_vanished_is_a_row(photo_folder, tmp_path):
    block = block_of(photo_folder)
    (photo_folder / "0.jpg").unlink()
    order = WorkOrder(out=str(tmp_path / "out"), generation=1, states={"size": STATE})
    ImageWorker([Size()], order)(block)
    row = rows_of(tmp_path / "out")["0.jpg"]
    assert (row["status"], row["error_type"]) == ("failed", "ReadError")


def test_only_what_is_new_or_changed_is_pending(photo_folder, tmp_path, encode):
    hashes = {"size": STATE.settings_hash, "other": "0" * 12}
    manifest = block_of(photo_folder).drop_columns("block")
    assert {k: len(v) for k, v in pending(manifest, Landing(tmp_path / "out"), hashes).items()} == {
        ("size", "other"): 7
    }
    work(photo_folder, tmp_path / "out")
    landing = Landing(tmp_path / "out")
    assert pending(manifest, landing, {"size": STATE.settings_hash}) == {}
    assert {k: len(v) for k, v in pending(manifest, landing, hashes).items()} == {("other",): 7}
    changed = ModuleState(settings={"more": 1}, model=None).settings_hash
    assert {k: len(v) for k, v in pending(manifest, landing, {"size": changed}).items()} == {("size",): 7}
    (photo_folder / "0.jpg").write_bytes(encode(size=(99, 99)))
    (photo_folder / "new.jpg").write_bytes(encode())
    manifest = block_of(photo_folder).drop_columns("block")
    assert {k: len(v) for k, v in pending(manifest, landing, {"size": STATE.settings_hash}).items()} == {("size",): 2}

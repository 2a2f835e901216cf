"""A folder of all hostile and odd images: one row each with its status, through a worker and through the command."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.landing.parts import ModuleState
from pixelbrain.sources.local import path_to_uri
from pixelbrain.storage.open import open_storage
from tests.hostile.case import encode, picture
from tests.hostile.corpus import corpus
from tests.hostile.tree import make_tree


class Area(pb.PipelineModule):
    """Looks at every pixel's place."""

    name = "area"
    resources = pb.Resources(batch_size=8)

    def fields(self):
        return [pa.field("pixels", pa.int64())]

    def process(self, image):
        return {"pixels": image.pixels.shape[0] * image.pixels.shape[1]}


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, dict[str, str | None]]:
    """The folder, and image_id to the expected error_type, None for ok."""
    folder = tmp_path / "photos"
    (folder / "corpus").mkdir(parents=True)
    (folder / "tree").mkdir()
    expected: dict[str, str | None] = {}
    for case in corpus():
        path = folder / "corpus" / case.name
        path.write_bytes(case.data)
        expected[path_to_uri(str(path))] = case.error
    return folder, expected | make_tree(folder / "tree", encode(picture()))


def check(out: Path, expected: dict[str, str | None]) -> None:
    """One row for each expected image, with its status, and nothing else."""
    rows = [row for table in pb.Landing(out).iter_images() for row in table.to_pylist()]
    assert len(rows) == len(expected)
    found = {row["image_id"]: row["error_type"] for row in rows}
    assert {name: (found.get(name), error) for name, error in expected.items() if found.get(name) != error} == {}
    assert found.keys() == expected.keys()
    for row in rows:
        assert row["status"] == ("ok" if row["error_type"] is None else "failed"), row["image_id"]
        assert (row["sha256"] is None) == (row["error_type"] == "ReadError"), row["image_id"]
        if row["status"] == "ok":
            assert row["area"] == {"pixels": row["width"] * row["height"], "error_type": None, "error": None}
        else:
            assert row["error"] and row["area"] is None and "\n" not in row["error"], row["image_id"]


def test_a_worker_lands_each_as_one_row(photos, tmp_path):
    folder, expected = photos
    state = ModuleState(settings={}, model=None)
    out = tmp_path / "out"

    def blocks_left(generation: int) -> list[pa.Table]:
        worklist = Worklist(
            loader=pb.DataLoader(str(folder)),
            storage=open_storage(out),
            settings_hashes={"area": state.settings_hash},
            generation=generation,
        )
        return list(blocks(worklist, 50))

    handed_out = blocks_left(1)
    # between listing and reading: gone, a pipe, a folder, another photo
    changed = {name: folder / "tree" / name for name in ("UPPER.JPEG", "-rf.jpg", " leading.jpg", "100%20.jpg")}
    for path in changed.values():
        path.unlink()
    os.mkfifo(changed["-rf.jpg"])
    changed[" leading.jpg"].mkdir()
    changed["100%20.jpg"].write_bytes(encode(255 - picture(32, 32)))
    for name in ("UPPER.JPEG", "-rf.jpg", " leading.jpg"):
        expected[path_to_uri(str(changed[name]))] = "ReadError"

    order = WorkOrder(storage=open_storage(out), generation=1, states={"area": state})
    worker = ImageWorker([Area()], order)
    summaries = [worker(block).to_pylist()[0] for block in handed_out]
    assert sum(summary["images"] for summary in summaries) == len(expected)
    assert sum(summary["failed"] for summary in summaries) == len([error for error in expected.values() if error])
    check(out, expected)
    assert blocks_left(2) == []  # none is done again, whatever its name: rows have the version that was read


def test_the_command_lands_each_as_one_row(photos, tmp_path, command):
    folder, expected = photos
    out = tmp_path / "out"
    words = ("extract", folder, "--out", out, "--module", f"{__name__}:Area", "--strict", "--executor", "local")
    done = command(*words, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    check(out, expected)

"""Photos whose bytes have landed under another name, in both layouts: no model looks at them, or is even loaded."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Size


class Counting(PipelineModule):
    """Writes down what it looks at; fails on images that are 61 pixels wide."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.loaded = False

    def setup(self, device: str = "cpu") -> None:
        self.loaded = True

    def fields(self):
        return [pa.field("value", pa.int64()), pa.field("embedding", schema.embedding_type(3))]

    def process(self, image):
        assert self.loaded
        self.seen.add(image.image_id.rpartition("/")[2])
        if image.width == 61:
            raise RuntimeError("61 is not a width")
        return {"value": image.width, "embedding": [0.1, image.width / 3, image.height / 7]}


class First(Counting):
    name = "first"


class Later(Counting):
    name = "later"


class ByName(Counting):
    name = "named"
    by_name = True


def run(folder: Path, out: Path, generation: int, modules, *, layout: str, setting: int = 1, **options) -> None:
    """The engine's work on a folder."""
    states = {module.name: ModuleState(settings={"setting": setting}, model=None) for module in modules}
    storage = open_storage(out)
    worklist = Worklist(
        loader=DataLoader(str(folder)),
        storage=storage,
        settings_hashes={name: state.settings_hash for name, state in states.items()},
        generation=generation,
        by_name=frozenset(module.name for module in modules if module.by_name),
        **options,
    )
    order = WorkOrder(storage=storage, generation=generation, states=states)
    work = list(blocks(worklist, 100))
    if layout == "fused":
        worker = ImageWorker(modules, order)
        for block in work:
            worker(block)
    else:
        decoder, lander = Decoder(modules, order, 2), Lander(order)
        names = [module.name for module in modules]
        runners = [ModelRunner(module, order, names[i + 1 :]) for i, module in enumerate(modules)]
        for table in (chunk for block in work for chunk in decoder(block)):
            for runner in runners:
                table = runner(table)
            lander(table)


def rows(out: Path, folder: Path) -> dict[str, dict]:
    """By name below the folder, without name and version."""
    found = [row for table in Landing(out).iter_images() for row in table.to_pylist()]
    within = [row for row in found if row["image_id"].startswith(folder.as_uri() + "/")]
    return {row.pop("image_id").removeprefix(folder.as_uri()): {**row, "version": ""} for row in within}


@pytest.fixture(params=["fused", "staged"])
def layout(request) -> str:
    return request.param


def test_no_model_looks_at_what_is_known(photo_folder, tmp_path, layout):
    out, new = tmp_path / "out", tmp_path / "new"
    run(photo_folder, out, 1, [First()], layout=layout)
    run(photo_folder, out, 2, [Later()], layout=layout)
    before = rows(out, photo_folder)
    photo_folder.rename(new)
    first, later = First(), Later()
    run(new, out, 3, [first, later], layout=layout)
    assert rows(out, new) == before and len(before) == 7
    assert first.seen == later.seen == {"1.jpg"}  # on which both had failed
    assert not before["/1.jpg"]["first"]["value"] and before["/0.jpg"]["first"]["value"] == 60

    (new / "1.jpg").unlink()
    again = First()
    run(new.rename(tmp_path / "newer"), out, 4, [again], layout=layout)
    assert not again.loaded and len(rows(out, tmp_path / "newer")) == 6


def test_a_module_that_is_new_looks_at_what_others_know(photo_folder, tmp_path, layout):
    out = tmp_path / "out"
    run(photo_folder, out, 1, [First()], layout=layout)
    first, later = First(), Later()
    new = photo_folder.rename(tmp_path / "new")
    (new / "other.jpg").write_bytes((new / "0.jpg").read_bytes() + b"\0")
    run(new, out, 2, [later, first], layout=layout)
    assert later.seen == {"0.jpg", "1.jpg", "2.jpg", "five%20%C3%BC%20%231.webp", "four.PNG", "other.jpg"}
    assert first.seen == {"1.jpg", "other.jpg"}
    found = rows(out, new)["/0.jpg"]
    assert found["first"]["value"] == found["later"]["value"] == found["width"] == 60


@pytest.mark.parametrize("why", ["by name", "other settings", "all again"])
def test_what_may_not_be_taken_over(photo_folder, tmp_path, layout, why):
    kind = ByName if why == "by name" else First
    out, again = tmp_path / "out", kind()
    run(photo_folder, out, 1, [kind()], layout=layout)
    new = photo_folder.rename(tmp_path / "new")
    options = {"other settings": {"setting": 2}, "all again": {"force": True}}.get(why, {})
    run(new, out, 2, [again], layout=layout, **options)
    assert len(again.seen) == 5


def test_where_nothing_is_new_or_nothing_was_there_nothing_is_told(photo_folder, tmp_path):
    out = tmp_path / "out"
    notes = RunNotes(open_storage(out))
    for _ in range(2):  # of a listing that is done again, what the run itself has landed does not count
        run(photo_folder, out, 1, [First()], layout="fused")
    assert notes.read_known() is None and notes.unsettled() is None
    run(photo_folder, out, 2, [First()], layout="fused")
    assert notes.read_known() is None and notes.unsettled() is None
    (photo_folder / "new.jpg").write_bytes(b"new")
    run(photo_folder, out, 3, [First()], layout="fused")
    assert len(notes.read_known()) == 4 and notes.unsettled() == 3
    notes.clear()
    assert notes.read_known() is None and notes.unsettled() == 3
    run(photo_folder, out, 4, [Size()], layout="fused")
    assert notes.unsettled() == 3  # of the run that was killed
    notes.settled()
    assert notes.unsettled() is None

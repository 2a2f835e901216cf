"""What is handed out: everything that is left, once, in blocks, and the same again for the same generation."""

from __future__ import annotations

import pickle

import pyarrow as pa

from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import WORK_SCHEMA, Worklist, WorkOrder, blocks, peek
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Size

STATE = ModuleState(settings={}, model=None)
OTHER = ModuleState(settings={"more": 1}, model=None)


def worklist(folder, out, *, states=None, generation=1, **options) -> Worklist:
    return Worklist(
        loader=options.pop("loader", DataLoader(str(folder))),
        storage=open_storage(out),
        settings_hashes={name: state.settings_hash for name, state in (states or {"size": STATE}).items()},
        generation=generation,
        **options,
    )


def handed_out(left, block_rows=256) -> list[tuple[int, tuple[str, ...], list[str]]]:
    rows = [row for table in blocks(left, block_rows) for row in table.to_pylist()]
    return [(r["block"], tuple(r["modules"]), [i["image_id"].rsplit("/", 1)[1] for i in r["images"]]) for r in rows]


def land(folder, out, generation=1) -> None:
    worker = ImageWorker([Size()], WorkOrder(storage=open_storage(out), generation=generation, states={"size": STATE}))
    for block in blocks(worklist(folder, out, generation=generation), 256):
        worker(block)


def test_blocks_hold_every_image_once(photo_folder, tmp_path):
    left = list(worklist(photo_folder, tmp_path / "out"))
    tables = list(blocks(left, 3))
    assert [table.schema for table in tables] == [WORK_SCHEMA] * 3 and {len(table) for table in tables} == {1}
    found = handed_out(left, 3)
    assert [(number, modules, len(ids)) for number, modules, ids in found] == [
        (0, ("size",), 3), (1, ("size",), 3), (2, ("size",), 1),
    ]  # fmt: skip
    assert len({one for _, _, ids in found for one in ids}) == 7
    listing = RunNotes(Landing(tmp_path / "out").storage).read_listing()
    assert (listing.listed, listing.pending, listing.complete) == (7, 7, True)


def test_what_was_passed_over_is_in_the_notes_wherever_the_source_was_listed(photo_folder, tmp_path):
    loader = DataLoader(str(photo_folder))
    next(loader.list_images())  # a first look, whose counts are not counted again
    loader.leave_out(str(photo_folder / "b"))
    list(pickle.loads(pickle.dumps(worklist(photo_folder, tmp_path / "out", loader=loader))))
    listing = RunNotes(Landing(tmp_path / "out").storage).read_listing()
    assert (listing.listed, listing.passed_over) == (5, {".txt": 1, "folder of results": 1})


def test_only_what_is_new_or_changed_is_handed_out(photo_folder, tmp_path, encode):
    out = tmp_path / "out"
    land(photo_folder, out)
    assert handed_out(worklist(photo_folder, out, generation=2)) == []
    both = handed_out(worklist(photo_folder, out, generation=2, states={"size": STATE, "other": STATE}))
    assert [(modules, len(ids)) for _, modules, ids in both] == [(("other",), 7)]
    changed = handed_out(worklist(photo_folder, out, generation=2, states={"size": OTHER}))
    assert [(modules, len(ids)) for _, modules, ids in changed] == [(("size",), 7)]
    (photo_folder / "0.jpg").write_bytes(encode(size=(99, 99)))
    (photo_folder / "new.jpg").write_bytes(encode())
    ((_, _, ids),) = handed_out(worklist(photo_folder, out, generation=2))
    assert ids == ["0.jpg", "new.jpg"]


def test_a_replayed_listing_hands_out_the_same_blocks(photo_folder, tmp_path):
    """Ray lists again where a node died with the blocks; what this run landed meanwhile must not shift them."""
    out = tmp_path / "out"
    first = handed_out(worklist(photo_folder, out), 2)
    land(photo_folder, out, generation=1)
    assert handed_out(worklist(photo_folder, out), 2) == first


def test_failed_ones_again_and_all_again(photo_folder, tmp_path):
    out = tmp_path / "out"
    land(photo_folder, out)
    ((_, _, ids),) = handed_out(worklist(photo_folder, out, generation=2, retry_failed=True))
    assert sorted(ids) == ["1.jpg", "2.jpg", "broken.jpg", "empty.jpeg"]
    ((_, _, ids),) = handed_out(worklist(photo_folder, out, generation=2, force=True))
    assert len(ids) == 7


def test_what_is_gone_is_noted_unless_only_a_part_was_listed(photo_folder, tmp_path):
    out = tmp_path / "out"
    land(photo_folder, out)
    (photo_folder / "0.jpg").unlink()
    notes = RunNotes(Landing(out).storage)
    list(worklist(photo_folder, out, generation=2, loader=DataLoader(str(photo_folder), limit=3)))
    assert notes.read_gone() is None
    list(worklist(photo_folder, out, generation=2))
    assert [i.rsplit("/", 1)[1] for i in notes.read_gone()["image_id"].to_pylist()] == ["0.jpg"]
    notes.clear()
    list(worklist(photo_folder / "b", out, generation=2))  # says nothing about its parent
    assert notes.read_listing().complete and notes.read_gone() is None


def test_peek_looks_no_further_than_it_must():
    table = pa.table({"image_id": [str(i) for i in range(10_000)]})
    asked = []

    def tables(count):
        for number in range(count):
            asked.append(number)
            yield table

    assert peek(tables(2)) == ([table, table], True)
    asked.clear()
    seen, complete = peek(tables(9))
    assert len(seen) == 2 and not complete and asked == [0, 1, 2]

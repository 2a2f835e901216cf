"""Extract where nothing is left to do, which starts no Ray; and the look ahead of a run."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import ClassVar

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.config import Placement
from pixelbrain.engine.extract import extract, look_ahead
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.errors import ConfigError, MixedModelsError, ModuleError, SourceError, SourceGoneError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.modules.exif import ExifModule
from pixelbrain.storage.local import LocalStorage
from tests.unit.engine.modules_for_tests import Size
from tests.unit.engine.standing import Here


def land(folder, storage, generation) -> None:
    """The work of a run on a folder."""
    state = ModuleState(settings={}, model=None)
    worklist = Worklist(
        loader=DataLoader(str(folder)),
        storage=storage,
        settings_hashes={"size": state.settings_hash},
        generation=generation,
    )
    work = ImageWorker([Size()], WorkOrder(storage=storage, generation=generation, states={"size": state}))
    for block in blocks(worklist, 3):
        work(block)


@pytest.fixture
def landed(photo_folder, tmp_path) -> Landing:
    """All of the photos' folder, in three parts."""
    landing = Landing(tmp_path / "out")
    land(photo_folder, landing.storage, claim_generation(landing.storage))
    return landing


def test_nothing_left_to_do(photo_folder, landed, monkeypatch):
    listings, opened = [], Counter()
    list_images, open_parquet = DataLoader.list_images, LocalStorage.open_parquet
    monkeypatch.setattr(DataLoader, "list_images", lambda self: listings.append(1) or list_images(self))
    monkeypatch.setattr(
        LocalStorage, "open_parquet", lambda self, name, *how: opened.update([name]) or open_parquet(self, name, *how)
    )
    report = extract(DataLoader(str(photo_folder)), [Size()], landed.storage)
    assert (report.listed, report.done, report.plan, report.stopped, report.gone) == (7, 0, None, False, 0)
    assert report.images_per_s == 0
    assert len(listings) == 1
    parts = {name: count for name, count in opened.items() if name.startswith("images/")}
    assert len(parts) == 3 and max(parts.values()) <= 2, parts  # what does it hold, and what is in it


@pytest.mark.usefixtures("forked")
def test_a_module_that_comes_along_makes_no_work(photo_folder, landed, encode):
    exif, loader = ExifModule(), DataLoader(str(photo_folder))
    exif.alone = False
    assert look_ahead(loader, [Size(), exif], landed) == (7, True, 0)
    assert extract(loader, [Size(), exif], landed.storage).done == 0
    (photo_folder / "new.jpg").write_bytes(encode())
    assert extract(loader, [Size(), exif], landed.storage).done == 1
    landed.refresh()
    rows = [row for table in landed.iter_images() for row in table.to_pylist()]
    assert [row["image_id"].endswith("/new.jpg") for row in rows if row["exif"]] == [True]
    exif.alone = True
    assert extract(loader, [Size(), exif], landed.storage).done == 7


def test_nothing_left_of_a_long_listing(photo_folder, landed, monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.extract.peek", lambda tables: ([next(iter(tables)).slice(0, 2)], False))
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda *_: pytest.fail("workers are wanted"))
    (photo_folder / "0.jpg").unlink()
    report = extract(DataLoader(str(photo_folder)), [Size()], landed.storage)
    assert (report.listed, report.done, report.plan, report.gone) == (6, 0, None, 1)
    (photo_folder / "0.jpg").write_bytes(b"another")
    with pytest.raises(pytest.fail.Exception, match="workers are wanted"):
        extract(DataLoader(str(photo_folder)), [Size()], landed.storage)


def test_what_is_gone_is_counted_and_pruned_if_that_is_asked_for(photo_folder, landed):
    (photo_folder / "0.jpg").unlink()
    assert extract(DataLoader(str(photo_folder)), [Size()], landed.storage).gone == 1
    landed.refresh()
    assert landed.count_images() == 7
    extract(DataLoader(str(photo_folder)), [Size()], landed.storage, prune=True)
    landed.refresh()
    assert landed.count_images() == 6


def test_a_source_that_is_gone_is_dropped_on_that_word_alone(photo_folder, landed, encode):
    kept, source = photo_folder.parent / "photos2", DataLoader(str(photo_folder))
    kept.mkdir()
    (kept / "0.jpg").write_bytes(encode(size=(9, 9)))
    shutil.rmtree(photo_folder)
    hint = "no such file or folder: .*photos; --prune-gone-source removes all its images from OUT"
    with pytest.raises(SourceGoneError, match=hint):
        extract(source, [Size()], landed.storage, prune=True)
    with pytest.raises(SourceGoneError, match="photos$"):
        extract(source, [Size()], landed.storage)
    for there in (kept, kept / "0.jpg"):
        with pytest.raises(ConfigError, match=f"{there} is there: --prune removes what is gone from it"):
            extract(DataLoader(str(there)), [Size()], landed.storage, prune_gone_source=True)
    land(kept, landed.storage, 2)
    report = extract(source, [Size()], landed.storage, prune_gone_source=True)
    assert (report.listed, report.done, report.gone, report.plan) == (0, 0, 7, None)
    landed.refresh()
    assert landed.index.image_id.to_pylist() == [(kept / "0.jpg").as_uri()]
    with pytest.raises(SourceError, match="no such list file"):  # it says nothing of its images
        extract(DataLoader(str(photo_folder / "list.txt")), [Size()], landed.storage, prune_gone_source=True)


def test_what_moved_before_a_run_was_killed_is_settled_by_the_next_one(photo_folder, landed):
    (photo_folder / "0.jpg").rename(photo_folder / "moved.jpg")
    (photo_folder / "copy.jpg").write_bytes((photo_folder / "moved.jpg").read_bytes())
    (photo_folder / "2.jpg").unlink()
    land(photo_folder, landed.storage, claim_generation(landed.storage))  # and was killed
    landed.refresh()
    assert landed.count_images() == 9
    report = extract(DataLoader(str(photo_folder)), [Size()], landed.storage, prune=True)
    assert (report.done, report.moved, report.copies, report.gone) == (0, 1, 1, 1)
    landed.refresh()
    names = [image_id.rpartition("/")[2] for image_id in landed.index.image_id.to_pylist()]
    assert len(names) == 7 and {"moved.jpg", "copy.jpg"} < set(names) and not {"0.jpg", "2.jpg"} & set(names)
    again = extract(DataLoader(str(photo_folder)), [Size()], landed.storage)
    assert (again.moved, again.copies, again.gone) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "left"), [({}, 0), ({"retry_failed": True}, 4), ({"force": True}, 7)], ids=["new", "failed", "all"]
)
def test_a_look_ahead_counts_what_is_left(photo_folder, landed, change, left):
    landed.refresh()
    assert look_ahead(DataLoader(str(photo_folder)), [Size()], landed, **change) == (7, True, left)


def test_results_that_lie_among_the_photos_are_not_looked_at(photo_folder, landed):
    out = photo_folder / "out"
    landed.storage.local.rename(out)
    (out / "report").mkdir()
    (photo_folder / "0.jpg").rename(out / "report" / "thumb.jpg")
    loader, landing = DataLoader(str(photo_folder)), Landing(out)
    assert look_ahead(loader, [Size()], landing) == (6, True, 0)
    assert loader.passed_over == {".txt": 1, "folder of results": 1}
    report = extract(DataLoader(str(photo_folder)), [Size()], out)
    assert (report.listed, report.passed_over) == (6, loader.passed_over)


def test_modules_that_share_a_name_and_no_modules(photo_folder, tmp_path):
    for modules in ([], [Size(), Size()]):
        with pytest.raises(ConfigError, match="at least one, and no name twice"):
            extract(DataLoader(str(photo_folder)), modules, tmp_path / "out")


def test_a_source_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "film.mov").touch()
    with pytest.raises(SourceError, match="no image in .*looked for .jpg.*; passed over: 1 .mov"):
        extract(DataLoader(str(tmp_path / "empty")), [Size()], tmp_path / "out")


def test_a_module_that_says_what_it_needs_as_of_old_is_told_how_now(photo_folder, tmp_path):
    class Old(Size):
        num_gpus = 0.5

        def __init__(self) -> None:
            self.batch_size = 8

    said = r"module size: instead of batch_size, num_gpus, set resources = Resources\(batch_size=8, num_gpus=0.5\)"
    with pytest.raises(ModuleError, match=said):
        extract(DataLoader(str(photo_folder)), [Old()], tmp_path / "out")


class Resized(Size):
    """Of which the fields can change."""

    kinds: ClassVar[dict[str, pa.DataType]] = {}
    again: ClassVar[dict[str, int]] = {}

    def fields(self):
        return [pa.field(*one) for one in self.kinds.items()]

    def settings(self):
        return self.again

    def process(self, image):
        numbers = {name: [1.0] * kind.list_size for name, kind in self.kinds.items() if name == "look"}
        return {"pixels": "1" if self.kinds["pixels"] == pa.string() else 1, **numbers}


def test_fields_of_another_kind_by_the_same_settings_are_refused_before_any_work(photo_folder, tmp_path, monkeypatch):
    """Two lengths of vectors, or a text and a number, are no column: all later commands would end there."""
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda job, _looks: Here(job, "fused"))
    loader, module, out = DataLoader(str(photo_folder)), Resized(), tmp_path / "out"
    monkeypatch.setattr(Resized, "kinds", {"pixels": pa.int32(), "look": schema.embedding_type(4)})
    extract(loader.clone(limit=2), [module], out, placement=Placement(executor="ray"), thumbnails=False)
    for changed, said in {
        ("look", schema.embedding_type(3)): "module size: look has 3 numbers, and 4 in OUT, by the same settings",
        ("pixels", pa.string()): "module size: its fields are of other types than in OUT, by the same settings",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(Resized, "kinds", Resized.kinds | dict([changed]))
            for look in extract, look_ahead:
                with pytest.raises(ModuleError, match=said):
                    look(loader, [module], *([Landing(out)] if look is look_ahead else [out]))
            patch.setattr(Resized, "again", {"settings": 2})  # it says so
            assert look_ahead(loader, [module], Landing(out))[2] == 7
    monkeypatch.setattr(Resized, "kinds", {**Resized.kinds, "pixels": pa.int64(), "more": pa.string()})
    extract(loader, [module], out, placement=Placement(executor="ray"), thumbnails=False)  # which have room in one
    (table,) = Landing(out).iter_images()
    assert table["size"].type.field("pixels").type == pa.int64() and len(table) == 7

    for look, said in {
        4: r"a column is of two kinds \(.*: run `pixelbrain extract` over all its images",
        3: "two models, one of 3 numbers in look and one of 4 numbers in look: run",
    }.items():
        monkeypatch.setattr(Resized, "again", {"look": look})
        monkeypatch.setattr(Resized, "kinds", {"pixels": pa.string(), "look": schema.embedding_type(look)})
        extract(loader.clone(limit=1), [module], out, placement=Placement(executor="ray"), thumbnails=False)
        with pytest.raises(MixedModelsError, match=said):
            list(Landing(out).iter_images())

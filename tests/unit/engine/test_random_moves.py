"""A folder whose photos are renamed, swapped, touched, copied and removed at random, with runs that are killed."""

from __future__ import annotations

import io
import itertools
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pixelbrain import schema
from pixelbrain.engine.extract import extract
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation, write_table
from pixelbrain.sources.local import stat_version
from pixelbrain.storage.file_uri import path_to_uri
from tests.unit.engine.modules_for_tests import Size

IDENTITIES = "identities/identities.parquet"


class Looks(Size):
    """Keeps the widths of what it looked at, which are all different."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def process(self, image):
        self.widths.append(image.width)
        return {"pixels": image.width * image.height}


class Folder:
    """Photos that move about, in one of two folders or below it, and what is known of them."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.top, self.rng, self.fresh = folder / "photos", rng, itertools.count(100)
        (self.top / "a" / "b").mkdir(parents=True)
        self.landing, self.module, self.numbers = Landing(folder / "out"), Looks(), itertools.count()
        self.clock = itertools.count(10**18)
        for width in range(20, 28):
            self.write(self.top / "a" / f"{width}.png", width)

    def write(self, path: Path, width: int) -> None:
        Image.new("RGB", (width, 8)).save(path)
        self.touch(path)

    def touch(self, path: Path) -> None:
        """At a time of its own: a file system's clock stands still for milliseconds, and these are of one size."""
        os.utime(path, ns=(now := next(self.clock), now))

    def paths(self) -> list[Path]:
        return sorted(self.top.rglob("*.png"))

    def free(self) -> Path:
        """A name that nothing has, or nothing any more."""
        below = [path for path in self.top.rglob("*") if path.is_dir()]
        return self.rng.choice(below) / f"n{next(self.numbers)}.png"

    def was_seen(self, path: Path) -> bool:
        with Image.open(path) as image:
            return image.width in self.module.widths

    def change(self, what: str) -> None:
        one, two = self.rng.sample(self.paths(), 2)
        if what == "move":
            one.rename(self.free())
        elif what == "swap":
            one.rename(aside := self.top / "aside")
            two.rename(one)
            aside.rename(two)
        elif what == "folder":
            (old,) = [path for path in self.top.iterdir() if path.is_dir()]
            old.rename(self.top / ("c" if old.name == "a" else "a"))
        elif what == "touch":
            self.touch(one)
        elif what == "take" and len(self.paths()) > 4:  # another one's name
            one.replace(two)
        elif what == "copy" and self.was_seen(one):  # of two that are new at once, both are looked at
            self.touch(Path(shutil.copy(one, self.free())))
        elif what == "remove" and len(self.paths()) > 4:
            one.unlink()
        elif what == "new":
            self.write(self.free(), next(self.fresh))

    def land(self) -> None:
        """A run that is killed when all has landed."""
        generation, state = claim_generation(self.landing.storage), ModuleState(settings={}, model=None)
        worklist = Worklist(
            loader=DataLoader(str(self.top)),
            storage=self.landing.storage,
            settings_hashes={"size": state.settings_hash},
            generation=generation,
        )
        order = WorkOrder(storage=self.landing.storage, generation=generation, states={"size": state}, thumbnails=True)
        worker = ImageWorker([self.module], order)
        for block in blocks(worklist, 3):
            worker(block)

    def identify(self) -> None:
        """Each photo's one face is a person of its own: the photo's width."""
        rows = [
            {"face_id": f"{row['image_id']}#0", "image_id": row["image_id"], "image_version": row["version"],
             "identity_id": f"person-{row['width']}", "assigned": "single"}
            for table in self.landing.iter_images() for row in table.to_pylist()
        ]  # fmt: skip
        fields = {field.name: field for field in [*schema.IDENTITY_SCHEMA, pa.field("image_version", pa.string())]}
        table = pa.Table.from_pylist(rows, pa.schema([fields[name] for name in rows[0]]))
        write_table(self.landing.storage, IDENTITIES, table)

    def pictures(self) -> dict[tuple[str, str], int]:
        """The width of each one's small picture, which is no smaller: it is that of the photo."""
        found = [
            row
            for path in (self.top.parent / "out" / schema.PICTURES).iterdir()
            for row in pq.read_table(path).to_pylist()
        ]
        keys = [(row["image_id"], row["version"]) for row in found]
        return dict(zip(keys, (Image.open(io.BytesIO(row["picture"])).width for row in found), strict=True))

    def people(self) -> dict[tuple[str, str], str]:
        with self.landing.storage.open_parquet(IDENTITIES) as file:
            rows = file.read().to_pylist()
        assert all(row["face_id"] == f"{row['image_id']}#0" for row in rows)
        return {(row["image_id"], row["image_version"]): row["identity_id"] for row in rows}


@pytest.mark.parametrize("copies", [False, True])
def test_out_is_what_is_there_and_nothing_is_looked_at_twice(tmp_path, copies):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    folder = Folder(tmp_path, rng)
    folder.land()
    folder.identify()
    first = set(range(20, 28))
    kinds = ["move", "swap", "folder", "touch", "new", *(["copy", "take", "remove"] if copies else [])]
    for _run in range(12):
        for _change in range(rng.randint(1, 3)):
            folder.change(rng.choice(kinds))
        folder.land()
        if rng.random() < 0.6:
            extract(DataLoader(str(folder.top)), [folder.module], folder.landing.storage, prune=rng.random() < 0.3)
    extract(DataLoader(str(folder.top)), [folder.module], folder.landing.storage, prune=True)
    folder.landing.refresh()
    rows = [row for table in folder.landing.iter_images() for row in table.to_pylist()]
    there = {path_to_uri(str(path)): path for path in folder.paths()}
    assert len(rows) == len(there) and {row["image_id"] for row in rows} == there.keys()
    people, pictures = folder.people(), folder.pictures()
    for row in rows:
        path = there[row["image_id"]]
        with Image.open(path) as image:
            assert (row["width"], row["size"]["pixels"]) == (image.width, image.width * 8)
        assert row["version"] == stat_version(path.stat())
        assert pictures[row["image_id"], row["version"]] == row["width"]
        if not copies:
            person = people.get((row["image_id"], row["version"]))
            assert person == (f"person-{row['width']}" if row["width"] in first else None)
    assert len(folder.module.widths) == len(set(folder.module.widths))

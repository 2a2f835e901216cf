"""What `pixelbrain status` counts and says, also where a store cannot be asked."""

from __future__ import annotations

import contextlib
import shutil

import pandas as pd
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.apps.status import describe, read_status
from pixelbrain.config import RunConfig
from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, part_name
from pixelbrain.stages.stages import Stages


def test_what_has_landed_is_counted_where_no_store_answers(landed, monkeypatch):
    @contextlib.contextmanager
    def away(_):
        raise StoreError("MongoDB does not answer")
        yield

    monkeypatch.setattr(Stages, "database", away)
    found = read_status(Stages(RunConfig(out=str(landed))))
    assert (found["images"], found["failed"], found["failures"], found["faces"]) == (7, 0, {}, None)
    assert describe(found) == ["images    7, 0 failed", "stores    not asked: MongoDB does not answer"]


def test_what_there_is_is_described():
    found = {
        "images": 1200, "failed": 2, "failures": {"DecodeError": 2}, "models": {"resnet": {"model": "resnet50"}},
        "faces": 30, "people": 3, "assigned_faces": 20, "groups": 4,
        "outdated": {"identify": {"missing": 2, "stale": 1}},
        "stores": {
            "in_step": True, "reasons": [], "recorded": True,
            "counts": {"documents": 1200, "images": 1198, "faces": 30},
        },
    }  # fmt: skip
    assert describe(found) == [
        "images    1,200, 2 failed",
        "          2 x DecodeError",
        "models    resnet: resnet50",
        "faces     30",
        "people    3 in 20 faces",
        "groups    4",
        "          2 came or changed since people were found, 1 went or changed: `pixelbrain identify` again",
        "stores    in step: 1,200 documents in MongoDB, 1,228 vectors in ChromaDB, by its last load",
    ]
    found["stores"] = {"in_step": False, "reasons": ["2 images are new"]}
    assert describe(found)[-1] == "stores    out of step, run `pixelbrain load`: 2 images are new"


def test_what_others_see_is_said_until_the_next_command_makes_it_right(landed):
    stages = Stages(RunConfig(out=str(landed)))
    assert read_status(stages)["published"]  # nothing is outdated yet
    stages.report()
    (part,) = (landed / "images").iterdir()
    shutil.copy(part, landed / part_name(2, 0, 0))  # of a run that was killed before it published
    stages.landing.refresh()
    found = read_status(stages)
    assert not found["published"] and any("may hold rows twice" in line for line in describe(found))
    assert len(pd.read_parquet(landed / "images")) == 14
    stages.report()
    assert read_status(stages)["published"]
    assert len(pd.read_parquet(landed / "images")) == 7


def test_newest_rows_are_counted_wherever_they_are(tmp_path):
    def land(generation: int, module: str, **errors: str | None) -> None:
        fields = {"facenet": schema.faces_fields(2), "size": [pa.field("pixels", pa.int64())]}[module]
        columns = [*schema.BASE_FIELDS, pa.field(module, schema.module_struct(fields))]
        found = {one: {"n_faces": 2, "error_type": error} for one, error in errors.items()}
        rows = [{"image_id": one, "version": "1", "status": "ok", module: value} for one, value in found.items()]
        states = {module: ModuleState(settings={}, model=None)}
        table = pa.Table.from_pylist(rows, pa.schema(columns))
        landing.write_part(table, generation=generation, block=0, piece=0, modules=states)

    landing = Landing(tmp_path)
    land(1, "facenet", a=None, b="RuntimeError", c="OSError")
    land(2, "size", a="ValueError", c="ValueError")
    land(3, "facenet", b=None)
    found = read_status(Stages(RunConfig(out=str(tmp_path))))
    assert (found["images"], found["failed"], found["faces"]) == (3, 2, 6)
    assert found["failures"] == {"size: ValueError": 2, "facenet: OSError": 1}
    assert found["stores"]["reasons"] == ("nothing was loaded yet",)

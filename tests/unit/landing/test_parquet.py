"""Landed rows are read exactly once, newest first, per column."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError, MixedModelsError
from pixelbrain.landing.parquet import Landing
from pixelbrain.landing.parts import ModuleState

COLOUR = [pa.field("red", pa.float32())]


def state(model: str = "m", **settings) -> ModuleState:
    return ModuleState(settings=settings, model=schema.ModelInfo(model=model, weights_sha256="0" * 64, dim=2))


def rows(ids, *, version="1", **columns) -> pa.Table:
    base = [{"image_id": i, "version": version, "status": "ok", "width": 10, "height": 20} for i in ids]
    table = pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS))
    for name, (fields, values) in columns.items():
        table = table.append_column(name, pa.array(values, schema.module_struct(fields)))
    return table


def everything(landing: Landing, **kwargs) -> list[dict]:
    landing.refresh()
    return [row for table in landing.iter_images(**kwargs) for row in table.to_pylist()]


def land(landing, table, generation, block=0, piece=0, **modules):
    landing.write_part(table, generation=generation, block=block, piece=piece, modules=modules)


def test_each_image_once_in_listing_order(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"]), 1, block=0)
    land(landing, rows(["c"]), 1, block=1)
    assert [r["image_id"] for r in everything(landing, batch_rows=2)] == ["a", "b", "c"]
    assert landing.count_images() == 3


def test_a_block_done_again_replaces_its_own_file(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"]), 1)
    land(landing, rows(["a", "b"]), 1)
    assert len(everything(landing)) == 2


def test_a_module_added_later_joins_the_earlier_columns(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b", "c"], colour=(COLOUR, [{"red": 1.0}, {"red": 2.0}, {"red": 3.0}])), 1, colour=state())
    land(landing, rows(["c", "a"], size=([pa.field("n", pa.int32())], [{"n": 30}, {"n": 10}])), 2, size=state())
    found = {r["image_id"]: r for r in everything(landing)}
    assert len(found) == 3
    assert found["a"]["colour"]["red"] == 1.0 and found["a"]["size"]["n"] == 10
    assert found["b"]["colour"]["red"] == 2.0 and found["b"]["size"] is None
    assert found["c"]["colour"]["red"] == 3.0 and found["c"]["size"]["n"] == 30


def test_a_changed_file_drops_what_was_computed_from_the_old_one(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a"], colour=(COLOUR, [{"red": 1.0}])), 1, colour=state())
    land(landing, rows(["a"], version="2", size=([pa.field("n", pa.int32())], [{"n": 1}])), 2, size=state())
    (row,) = everything(landing)
    assert row["version"] == "2" and row["colour"] is None and row["size"]["n"] == 1


def test_newest_row_of_a_module_wins(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a"], colour=(COLOUR, [{"red": 1.0}])), 1, colour=state())
    land(landing, rows(["a"], colour=(COLOUR, [{"red": 9.0}])), 2, colour=state())
    (row,) = everything(landing)
    assert row["colour"]["red"] == 9.0


def test_without_vectors_the_embeddings_are_not_read(tmp_path):
    landing = Landing(tmp_path)
    faces = [{"n_faces": 1, "faces": [{"face_id": "a#0", "score": 0.5, "embedding": [1.0, 0.0]}]}]
    land(landing, rows(["a"], facenet=(schema.faces_fields(2), faces)), 1, facenet=state())
    (row,) = everything(landing, vectors=False)
    assert "embedding" not in row["facenet"]["faces"][0] and row["facenet"]["faces"][0]["score"] == 0.5
    (row,) = everything(landing)
    assert row["facenet"]["faces"][0]["embedding"] == [1.0, 0.0]


def test_two_models_in_one_column_are_refused_until_all_rows_agree(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"], colour=(COLOUR, [{"red": 1.0}] * 2)), 1, colour=state("one"))
    land(landing, rows(["a"], colour=(COLOUR, [{"red": 2.0}])), 2, colour=state("two"))
    with pytest.raises(MixedModelsError, match="one and two"):
        landing.models()
    land(landing, rows(["b"], colour=(COLOUR, [{"red": 2.0}])), 2, block=1, colour=state("two"))
    landing.refresh()
    assert landing.models()["colour"].model == "two"


def test_a_foreign_file_is_named(tmp_path):
    landing = Landing(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "part-000001-00000000-000.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(LandingError, match="part-000001"):
        landing.exists()


def test_nothing_landed(tmp_path):
    landing = Landing(tmp_path)
    assert everything(landing) == [] and landing.count_images() == 0 and landing.models() == {}
    assert landing.read_identities() is None
    with pytest.raises(LandingError, match="pixelbrain run"):
        landing.require()


def test_all_rows_of_a_batch_without_a_module(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"]), 1)
    land(landing, rows(["c"], colour=(COLOUR, [{"red": 1.0}])), 2, block=1, colour=state())
    assert [r["colour"] for r in everything(landing, batch_rows=2)] == [
        None,
        None,
        {"red": 1.0, "error_type": None, "error": None},
    ]

"""Landed rows are read exactly once, newest first, per column."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError, MixedModelsError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.storage.base import BrokenFileError
from pixelbrain.storage.local import LocalStorage

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


@pytest.mark.parametrize("left", [0, 1, 200, -7], ids=["nothing", "a byte", "the beginning", "all but the end"])
def test_a_part_that_lost_power_is_left_out_and_named_once(tmp_path, caplog, left):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"]), 1, block=0)
    land(landing, rows(["c"]), 1, block=1)
    path = tmp_path / "images" / "part-000001-00000000-000.parquet"
    path.write_bytes(path.read_bytes()[:left])
    assert [r["image_id"] for r in everything(landing)] == ["c"]
    assert [r["image_id"] for r in everything(landing)] == ["c"]
    (warning,) = caplog.messages
    assert str(path) in warning and "the next run does its images again" in warning


def test_parts_that_cannot_be_read_are_set_aside_and_done_again(tmp_path):
    landing = Landing(tmp_path)
    for block, image_id in enumerate("abc"):
        land(landing, rows([image_id]), 1, block=block)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    (tmp_path / "images" / names[0]).write_bytes(b"")
    (tmp_path / "images" / names[2]).write_bytes(b"PAR1 of somebody else, and nothing of ours in it PAR1")
    landing.refresh()
    assert landing.set_aside_broken() == [f"broken/{names[0]}", f"broken/{names[2]}"]
    assert [r["image_id"] for r in everything(landing)] == ["b"]
    assert landing.set_aside_broken() == []
    land(landing, rows(["a", "c"]), 2)
    assert sorted(r["image_id"] for r in everything(landing)) == ["a", "b", "c"]


def test_damage_inside_the_ids_counts_as_broken(tmp_path, caplog):
    landing = Landing(tmp_path)
    land(landing, rows(["a", "b"]), 1, block=0)
    land(landing, rows(["c"]), 1, block=1)
    path = tmp_path / "images" / "part-000001-00000000-000.parquet"
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)  # the first column's page, right behind the magic number: a block that never got to the disk
    path.write_bytes(data)
    assert [r["image_id"] for r in everything(landing)] == ["c"] and path.name in caplog.text
    assert landing.set_aside_broken() == [f"broken/{path.name}"]


def test_damage_in_other_columns_is_an_error_that_names_the_file(tmp_path):
    landing = Landing(tmp_path)
    values = [{"red": number / 7} for number in range(500)]
    land(landing, rows([f"i{n}" for n in range(500)], colour=(COLOUR, values)), 1, colour=state())
    path = tmp_path / "images" / "part-000001-00000000-000.parquet"
    column = pq.read_metadata(path).row_group(0).column(len(schema.BASE_FIELDS))
    assert column.path_in_schema == "colour.red"
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1  # a bit that zstd does not notice
    path.write_bytes(data)
    with pytest.raises(BrokenFileError, match=rf"{path.name}.*move it away, and the next run"):
        everything(landing)


def test_a_file_that_may_not_be_read_is_an_error_and_not_left_out(tmp_path, monkeypatch):
    landing = Landing(tmp_path)
    land(landing, rows(["a"]), 1)

    def refuse(*_: object) -> None:  # root may read everything, whatever its mode
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LocalStorage, "parquet_file", refuse)
    with pytest.raises(LandingError, match="part-000001.*Permission denied"):
        everything(landing)


def test_a_file_of_another_kind_is_not_a_part(tmp_path, caplog):
    landing = Landing(tmp_path)
    land(landing, rows(["a"]), 1)
    for name in ("notes.txt", ".part-000001-00000000-001.parquet.77-abcdef.tmp", "part-1.parquet"):
        (tmp_path / "images" / name).write_bytes(b"anything")
    assert [r["image_id"] for r in everything(landing)] == ["a"] and not caplog.messages
    pq.write_table(rows(["b"]), tmp_path / "images" / "part-000001-00000001-000.parquet")  # not by us
    assert [r["image_id"] for r in everything(landing)] == ["a"]
    assert "does not say which modules wrote it" in caplog.text


def test_a_block_that_comes_back_knows_what_it_landed(tmp_path):
    landing = Landing(tmp_path)
    assert landing.block_so_far(1, 4) == (set(), 0)
    land(landing, rows(["a", "b"]), 1, block=4, piece=0)
    land(landing, rows(["c"]), 1, block=4, piece=1)
    land(landing, rows(["x"]), 1, block=5, piece=0)
    land(landing, rows(["y"]), 2, block=4, piece=0)
    assert landing.block_so_far(1, 4) == ({"a", "b", "c"}, 2)
    path = tmp_path / "images" / "part-000001-00000004-000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert landing.block_so_far(1, 4) == ({"c"}, 2)


def test_more_than_a_thousand_pieces_stay_in_their_order(tmp_path):
    landing = Landing(tmp_path)
    for piece in (999, 1000, 1001):
        land(landing, rows([f"i{piece}"]), 1, piece=piece)
    land(landing, rows(["next"]), 1, block=1)
    assert [r["image_id"] for r in everything(landing)] == ["i999", "i1000", "i1001", "next"]


def test_files_that_vanish_under_a_reader_are_looked_for_again(tmp_path):
    landing = Landing(tmp_path)
    for block, ids in enumerate(("ab", "cd", "ef")):
        land(landing, rows(ids), 1, block=block)
    tables = landing.iter_images(batch_rows=2)
    seen = next(tables)["image_id"].to_pylist()
    other = Landing(tmp_path)  # as `pixelbrain compact` does in another process
    land(other, rows("abcdef"), 1, block=0, piece=1)
    for block in range(3):
        (tmp_path / "images" / f"part-000001-{block:08d}-000.parquet").unlink()
    assert seen + [i for table in tables for i in table["image_id"].to_pylist()] == list("abcdef")


def test_a_file_that_vanishes_before_the_ids_are_read(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a"]), 1, block=0)
    assert len(landing.parts) == 1
    land(Landing(tmp_path), rows(["a"]), 1, block=1)
    (tmp_path / "images" / "part-000001-00000000-000.parquet").unlink()
    assert landing.count_images() == 1


def test_temporary_files_of_the_killed_go_after_an_hour(tmp_path):
    landing = Landing(tmp_path)
    land(landing, rows(["a"]), 1)
    old, young = (tmp_path / "images" / f".part-{n}.parquet.1-abcdef.tmp" for n in (1, 2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    landing.set_aside_broken()
    assert not old.exists() and young.exists()


def test_nothing_landed(tmp_path):
    landing = Landing(tmp_path)
    assert everything(landing) == [] and landing.count_images() == 0 and landing.models() == {}
    assert IDENTITIES.read(landing).rows is None
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

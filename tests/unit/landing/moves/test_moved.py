"""Images whose bytes landed under another name: which of them moved, and what goes along, whatever is killed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.landing.answers.log import ANSWER_FIELDS
from pixelbrain.landing.derived import map_table
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.moves import moved
from pixelbrain.landing.moves.moved import Moves, find_moves, settle
from pixelbrain.landing.parts import write_table
from pixelbrain.landing.remaining import prune
from tests.unit.landing.histories import Row, land, read_all

SIZE = {"size": 1}


def photo(name: str, content: str, version: str = "1") -> Row:
    return Row(image_id=name, version=version, sha256=content, values={"size": ord(content)})


def run(landing: Landing, *rows: Row) -> int:
    """Land rows as the next generation; its number."""
    landing.refresh()
    generation = 1 + max((part.generation for part in landing.parts), default=0)
    land(landing, rows, generation, SIZE)
    landing.refresh()
    return generation


def moves(landing: Landing, since: int, *gone: str, is_there: int | None = None) -> Moves:
    asked: list[str] = []

    def find_gone(image_ids):
        asked.extend(image_ids)
        return [image_id in gone for image_id in image_ids]

    found = find_moves(landing, since, is_there or since, find_gone)
    assert len(asked) == len(set(asked))
    return found


def test_a_renamed_folder(tmp_path):
    landing = Landing(tmp_path)
    run(landing, *(photo(f"old/{name}", name) for name in "abc"))
    since = run(landing, *(photo(f"new/{name}", name, "2") for name in "abd"))
    found = moves(landing, since, "old/a", "old/b", "old/c")
    assert found.to == {("old/a", "1"): ("new/a", "2"), ("old/b", "1"): ("new/b", "2")}
    assert found.left == {"old/a": "1", "old/b": "1"} and (found.moved, found.copies) == (2, 0)
    settle(landing, found)
    assert sorted(read_all(landing)) == ["new/a", "new/b", "new/d", "old/c"]
    assert moves(landing, since, "old/a", "old/b", "old/c") == Moves(to={}, left={})


def test_two_that_swap_names_and_one_whose_name_another_took(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"), photo("b", "B"), photo("c", "C"))
    since = run(landing, photo("a", "B", "2"), photo("b", "A", "2"), photo("d", "C"), photo("c", "N", "2"))
    found = moves(landing, since)
    assert found.to == {("a", "1"): ("b", "2"), ("b", "1"): ("a", "2"), ("c", "1"): ("d", "1")}
    assert found.left == {} and (found.moved, found.copies) == (3, 0)


def test_one_that_was_only_touched(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"))
    since = run(landing, photo("a", "A", "2"), photo("b", "A"))
    found = moves(landing, since)
    assert found.to == {("a", "1"): ("a", "2")} and (found.moved, found.copies) == (0, 1)


def test_copies_keep_their_rows_and_each_moves_to_its_own_name(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("old/1", "A"), photo("old/2", "A"), photo("kept", "B"))
    since = run(landing, photo("new/2", "A"), photo("new/1", "A"), photo("new/3", "A"), photo("copy", "B"))
    found = moves(landing, since, "old/1", "old/2")
    assert found.to == {("old/1", "1"): ("new/1", "1"), ("old/2", "1"): ("new/2", "1")}
    assert (found.moved, found.copies) == (2, 2)


def test_copies_of_one_run_are_not_told_and_what_is_not_surely_gone_stays(tmp_path):
    landing = Landing(tmp_path)
    since = run(landing, photo("a", "A"), photo("b", "A"))
    assert moves(landing, since) == Moves(to={}, left={})
    since = run(landing, photo("c", "A"))
    assert moves(landing, since) == Moves(to={}, left={}, copies=1)


def test_pruned_ones_have_not_moved(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"))
    prune(landing, pa.table({"image_id": ["a"], "version": ["1"]}))
    since = run(landing, photo("b", "A"))
    assert moves(landing, since, "a") == Moves(to={}, left={})


@pytest.mark.parametrize("version", ["1", "2"])
def test_there_and_back_again(tmp_path, version):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"))
    settle(landing, moves(landing, run(landing, photo("b", "A")), "a"))
    landing.refresh()
    found = moves(landing, run(landing, photo("a", "A", version)), "b")
    assert found.to == {("b", "1"): ("a", version)} and found.left == {"b": "1"}
    settle(landing, found)
    assert list(read_all(landing)) == ["a"]


def test_back_again_after_a_run_that_was_killed(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"))
    since = run(landing, photo("b", "A"))  # and killed
    again = run(landing, photo("new", "N"))
    found = moves(landing, since, "b", is_there=again)
    assert found.to == {} and found.left == {"b": "1"} and found.copies == 0
    settle(landing, found)
    assert sorted(read_all(landing)) == ["a", "new"]


def test_moved_again_after_a_run_that_was_killed(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("z", "A"))
    since = run(landing, photo("b", "A"))  # and killed
    again = run(landing, photo("c", "A"))
    found = moves(landing, since, "z", "b", is_there=again)
    assert found.to == {("z", "1"): ("c", "1")} and found.left == {"z": "1", "b": "1"}
    settle(landing, found)
    assert list(read_all(landing)) == ["c"]


def test_a_module_that_came_later_makes_no_image_new(tmp_path):
    landing = Landing(tmp_path)
    run(landing, photo("a", "A"), photo("b", "A"))
    since = run(landing, photo("a", "A"), photo("b", "A"))
    assert moves(landing, since).to == {} and moves(landing, since).copies == 0


# --- what goes along -------------------------------------------------------------------------------------------------


def identities(landing: Landing, *, versions: bool) -> None:
    rows = [
        {"face_id": f"{image_id}#0", "image_id": image_id, "identity_id": person, "assigned": "clustered"}
        for image_id, person in (("old/a", "anna"), ("b", "bert"), ("c", "carl"))
    ]
    table = pa.Table.from_pylist(rows, pa.schema(list(schema.IDENTITY_SCHEMA)[:5]))
    if versions:
        table = table.append_column("image_version", pa.array(["1"] * 3))
    write_table(landing.storage, "identities/identities.parquet", table)


def people(landing: Landing) -> dict[str, str]:
    with landing.storage.open_parquet("identities/identities.parquet") as file:
        rows = file.read().to_pylist()
    assert all(row["face_id"] == f"{row['image_id']}#0" for row in rows)
    return {f"{row['image_id']} {row.get('image_version')}": row["identity_id"] for row in rows}


def answer(landing: Landing, *about: tuple[str, str, str]) -> None:
    fields = {field.name: None for field in ANSWER_FIELDS}
    rows = [
        fields
        | {"image_id": image_id, "version": version, "field": "mood", "question": "q", "status": "ok", "key": "k"}
        | {"answer": said, "cost_usd": None, "input_tokens": 5, "remembered": False, "model": "m"}
        for image_id, version, said in about
    ]
    table = pa.Table.from_pylist(rows, pa.schema([*ANSWER_FIELDS, pa.field("answer", pa.string())]))
    write_table(landing.storage, "answers/mood/part-000001.parquet", table)


def answers(landing: Landing) -> dict[str, str | None]:
    landing.refresh()
    rows = [row for table in landing.iter_images(["mood"]) for row in table.to_pylist()]
    return {row["image_id"]: row["mood"]["answer"] if row["mood"] else None for row in rows}


@pytest.mark.parametrize("killed_in", [None, "_rename", "take_along", "prune"])
def test_people_and_answers_go_along_and_old_rows_last(tmp_path, monkeypatch, killed_in):
    landing = Landing(tmp_path)
    run(landing, photo("old/a", "A"), photo("b", "B"), photo("c", "C"))
    identities(landing, versions=True)
    places = {"image_id": ["old/a", "b", "c"], "x": [0.0, 1.0, 2.0], "y": [0.0] * 3, "settings": ["{}"] * 3}
    map_table("images", of_faces=False).write(landing, pa.table(places))
    answer(landing, ("old/a", "1", "glad"), ("b", "1", "sad"), ("c", "1", "odd"))
    since = run(landing, photo("new/a", "A", "3"), photo("b", "C", "2"), photo("c", "B", "2"))

    def finish(until: str | None) -> None:
        with monkeypatch.context() as patch:
            if until is not None:
                where = moved if hasattr(moved, until) else type(landing.answer_log)
                step = getattr(where, until)

                def dies(*given):
                    step(*given)
                    raise KeyboardInterrupt

                patch.setattr(where, until, dies)
            settle(landing, moves(landing, since, "old/a"))

    if killed_in is not None:
        with pytest.raises(KeyboardInterrupt):
            finish(killed_in)
        landing.refresh()
    finish(None)
    assert people(landing) == {"new/a 3": "anna", "c 2": "bert", "b 2": "carl"}
    assert answers(landing) == {"new/a": "glad", "b": "odd", "c": "sad"}
    on_map = map_table("images", of_faces=False).rows(landing)
    assert dict(zip(on_map["image_id"].to_pylist(), on_map["x"].to_pylist(), strict=True)) == {
        "new/a": 0.0, "c": 1.0, "b": 2.0
    }  # fmt: skip
    assert sorted(read_all(landing)) == ["b", "c", "new/a"]
    table = landing.answer_log.read("mood")
    along = [row for row in table.to_pylist() if row["remembered"]]
    assert len(along) == 3 and {(row["input_tokens"], row["cost_usd"]) for row in along} == {(0, 0)}
    assert {row["key"] for row in along} == {"k"} and len(list(landing.answer_log.records())) == 6


def test_people_of_an_older_version_follow_what_is_gone_alone(tmp_path):
    """Their rows do not say of which version of the image they are: of two that swapped names nobody knows."""
    landing = Landing(tmp_path)
    run(landing, photo("old/a", "A"), photo("b", "B"), photo("c", "C"))
    identities(landing, versions=False)
    since = run(landing, photo("new/a", "A"), photo("b", "C", "2"), photo("c", "B", "2"))
    settle(landing, moves(landing, since, "old/a"))
    assert people(landing) == {"new/a None": "anna", "b None": "bert", "c None": "carl"}

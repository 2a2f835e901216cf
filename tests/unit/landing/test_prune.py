"""Images that are gone leave OUT, and come back as new ones."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.landing.compact import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.remaining import Remaining, prune
from tests.unit.landing.histories import Row, land, manifest, read_all, state

SIZE = {"size": state("size").settings_hash}


def landed(tmp_path) -> Landing:
    landing = Landing(tmp_path)
    land(landing, [Row(image_id=name, values={"size": 1}) for name in "abc"], 1, {"size": 1})
    land(landing, [Row(image_id="c", version="2", values={"size": 2})], 2, {"size": 1})
    landing.refresh()
    return landing


def test_what_a_listing_misses_is_pruned(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.remaining._PRUNED_ROWS", 1)
    landing = landed(tmp_path)
    assert landing.count_images() == 3
    remaining = Remaining(landing, SIZE)
    assert remaining.split(manifest([("a", "1")])) == {}
    gone = remaining.gone(lambda name: True)
    assert len(gone) == 2
    assert {row["image_id"]: row["version"] for row in gone.to_pylist()} == {"b": "1", "c": "2"}
    prune(landing, gone)
    assert landing.index.image_id.to_pylist() == ["a"]  # without a refresh by the caller
    assert list(read_all(landing)) == ["a"]
    assert {part.generation for part in landing.parts} == {1, 2, 3} and len(landing.parts) == 4
    again = Remaining(landing, SIZE)
    left = again.split(manifest([("a", "1"), ("b", "1"), ("c", "2")]))
    assert left[("size",)]["image_id"].to_pylist() == ["b", "c"]
    assert Remaining(landing, SIZE).gone(lambda name: True)["image_id"].to_pylist() == ["a"]


def test_a_tombstone_is_a_row_of_the_schema(tmp_path):
    landing = landed(tmp_path)
    prune(landing, Remaining(landing, SIZE).gone(lambda name: name == "b"))
    with landing.parts[-1].open() as file:
        table = file.read()
    assert table.schema.equals(pa.schema(schema.BASE_FIELDS)) and landing.parts[-1].modules == {}
    (row,) = table.to_pylist()
    assert (row["image_id"], row["version"], row["status"]) == ("b", "1", str(schema.Status.PRUNED))


def test_an_out_of_which_all_was_pruned_is_one(tmp_path):
    landing = landed(tmp_path)
    prune(landing, Remaining(landing, SIZE).gone(lambda name: True))
    compact(landing)
    landing.refresh()
    assert landing.parts == [] and landing.require().count_images() == 0
    listed = manifest([("a", "1")])
    assert landing.index.find(listed["image_id"], listed["version"]).tolist() == [-1]
    with pytest.raises(LandingError, match="nothing has landed"):
        Landing(tmp_path / "other").require()


def test_nothing_to_prune_writes_nothing(tmp_path):
    landing = landed(tmp_path)
    prune(landing, Remaining(landing, SIZE).gone(lambda name: False))
    assert len(landing.parts) == 2


def test_not_while_another_run_is_at_work(tmp_path, another_run):
    landing = landed(tmp_path)
    gone = Remaining(landing, SIZE).gone(lambda name: True)
    with another_run(tmp_path), pytest.raises(OutLockedError):
        prune(landing, gone)
    assert landing.count_images() == 3

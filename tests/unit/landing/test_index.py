"""The index finds each image's newest row, and each module's newest value about that version."""

from __future__ import annotations

import random

import pytest

from pixelbrain.landing.landing import Landing
from tests.unit.landing.histories import History, Row, land, read_all


@pytest.mark.parametrize("_round", range(12))
def test_any_history_is_read_as_the_rules_say(tmp_path, _round):
    seed = random.randrange(2**32)
    print("seed", seed)
    history = History(Landing(tmp_path), random.Random(seed))
    assert read_all(history.landing) == history.expected()


def test_the_order_is_that_of_the_listing(tmp_path):
    landing = Landing(tmp_path)
    for block, names in enumerate(["ab", "cd", "ef"]):
        land(landing, [Row(image_id=name) for name in names], 1, {}, block=block)
    land(landing, [Row(image_id="c", version="2")], 2, {})
    assert "".join(landing.index.image_id.to_pylist()) == "abdefc"
    assert landing.index.part.tolist() == [0, 0, 1, 2, 2, 3] and landing.index.row.tolist() == [0, 1, 1, 0, 1, 0]


def test_a_pruned_image_is_not_there_until_it_comes_back(tmp_path):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id=n, values={"size": 1, "colour": 1}) for n in "abc"], 1, {"size": 1, "colour": 1})
    land(landing, [Row(image_id="b", status="pruned"), Row(image_id="unheard-of", status="pruned")], 2, {})
    assert sorted(read_all(landing)) == ["a", "c"]
    land(landing, [Row(image_id="b", values={"size": 2})], 3, {"size": 1})
    found = read_all(landing)
    assert sorted(found) == ["a", "b", "c"]
    assert found["b"] == ("1", "ok", {"size": 2})  # its old colour is gone, though of the same version


def test_strings_are_in_few_chunks(tmp_path):
    landing = Landing(tmp_path)
    for block in range(50):
        land(landing, [Row(image_id=f"{block}-{i}") for i in range(3)], 1, {}, block=block)
    assert landing.count_images() == 150
    assert landing.index.image_id.slice(3, 3).to_pylist() == ["1-0", "1-1", "1-2"]

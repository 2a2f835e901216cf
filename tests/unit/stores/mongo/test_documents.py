"""Documents that MongoDB cannot have are refused one by one, with a short reason."""

from __future__ import annotations

import datetime
import decimal
import enum
from typing import Any

import bson
import numpy as np
import pytest

from pixelbrain.errors import StoreError
from pixelbrain.stores.mongo.documents import encode, plain


class Coat(str, enum.Enum):  # and no StrEnum
    """An enum that is a str too."""

    TABBY = "tabby"


def nested(levels: int, name: str = "a") -> dict[str, Any]:
    """A document so deep."""
    value: Any = 1
    for _ in range(levels):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "8-byte ints"),
        (-(2**70), "8-byte ints"),
        ("\ud800", "surrogates not allowed"),
        ({"\udfff": 1}, "surrogates not allowed"),
        ({"a\0b": 1}, "NULL"),
        (nested(101), "nested deeper than 100"),
        (nested(5_000), "nested deeper than 100"),
        (nested(101, ""), "nested deeper than 100"),  # which takes the fewest bytes
        ([nested(100)], "nested deeper than 100"),
        ([[nested(50), nested(99)]], "nested deeper than 100"),
        (decimal.Decimal(1), "Decimal"),
        (datetime.date(2026, 1, 1), "datetime.date"),
        (object(), "cannot encode"),
        ("x" * (17 << 20), "16 MB"),
    ],
)
def test_a_value_that_bson_does_not_have_is_a_reason(value, reason):
    with pytest.raises(StoreError, match=reason) as caught:
        encode({"_id": "a", "x": value})
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [{"_id": "\ud800"}, {"_id": "a", "": 1}, {"_id": "a", "\ud800": 1}])
def test_a_bad_id_or_name_is_a_reason(document):
    with pytest.raises(StoreError):
        encode(document)


@pytest.mark.parametrize(
    "value",
    [
        2**63 - 1,
        float("inf"),
        {"a.b": {"$c": {"": 1}}},
        nested(99),
        b"\0\xff",
        "\u00e9\U0001f600\0",
        [],
        {},
        [[], [{}]],
        [nested(9)] * 99,
        [[nested(98)]],
    ],
)
def test_odd_values_are_kept(value):
    encoded = encode({"_id": "a", "x": value, "gone": None})
    assert bson.decode(encoded.bson) == {"x": value}
    assert encoded.gone == ("gone",)


def test_numpy_and_collections_become_plain():
    value = {
        "a": np.float32(0.5),
        1: np.arange(3),
        "s": {2, 1},
        "t": (np.int64(1), None),
        "n": np.array([["x"]], object),
        "e": Coat.TABBY,
    }
    expected = {"a": 0.5, "1": [0, 1, 2], "s": [1, 2], "t": [1, None], "n": [["x"]], "e": "tabby"}
    assert plain(value) == bson.decode(encode({"_id": "a", "x": value}).bson)["x"] == expected


@pytest.mark.parametrize(
    "value", [Coat.TABBY, (1, 2), np.float64(0.5), np.str_("x"), {"a": (Coat.TABBY,)}, True, 2**40]
)
def test_what_bson_takes_as_it_is_comes_out_the_same(value):
    all_looked_at = encode({"_id": "a", "x": value, "y": np.float32(0)})
    assert all_looked_at == encode({"_id": "a", "x": value, "y": 0.0})


def test_the_row_hash_follows_values_and_absence():
    one = encode({"_id": "a", "x": 1}).row_hash()
    assert one == encode({"_id": "b", "x": 1}).row_hash()
    others = [{"x": 2}, {"x": 1.0}, {"y": 1}, {"x": 1, "y": None}, {"x": 1, "y": 2}]
    assert len({one, *(encode({"_id": "a", **other}).row_hash() for other in others)}) == 6


def test_what_is_sent_is_what_was_hashed():
    encoded = encode({"_id": "a", "x": {"y": [1, "\u00e9"]}, "gone": None})
    update = encoded.update(row_hash=encoded.row_hash())
    sent = bson.decode(bson.encode(update))
    assert sent == {"$set": {"x": {"y": [1, "\u00e9"]}, "row_hash": encoded.row_hash()}, "$unset": {"gone": ""}}
    assert bson.decode(bson.encode(encoded.update())) == {"$set": {"x": {"y": [1, "\u00e9"]}}, "$unset": {"gone": ""}}
    assert encode({"_id": "a", "gone": None}).update() == {"$unset": {"gone": ""}}
    assert encode({"_id": "a"}).update() == {}

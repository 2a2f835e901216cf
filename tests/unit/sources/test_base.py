"""A listing as tables: the first one small, so that work begins."""

from __future__ import annotations

import pytest

from pixelbrain.schema import MANIFEST_SCHEMA
from pixelbrain.sources.base import is_image_name, manifest_table, manifest_tables


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, []), (1, [1]), (1000, [1000]), (1001, [1000, 1]), (21_500, [1000, 10_000, 10_000, 500])]
)
def test_the_first_table_comes_soon_and_the_others_are_large(rows, sizes):
    tables = list(manifest_tables((f"file:///{number}.jpg", "1", None) for number in range(rows)))
    assert [len(table) for table in tables] == sizes
    assert all(table.schema == MANIFEST_SCHEMA for table in tables)
    assert [i for table in tables for i in table["image_id"].to_pylist()] == [f"file:///{n}.jpg" for n in range(rows)]


def test_nothing_is_listed_before_it_is_asked_for():
    def rows():
        yield from (("a", "1", 1) for _ in range(1000))
        raise AssertionError("too far")

    assert len(next(manifest_tables(rows()))) == 1000


def test_a_size_that_nobody_knows_is_null():
    assert manifest_table([("a", "1", None), ("b", "2", 5)])["size_bytes"].to_pylist() == [None, 5]


def test_names_of_images_in_any_case():
    assert is_image_name("A.JPG") and is_image_name("a.b.heic")
    assert all(map(is_image_name, ("a.jfif", "a.jpe", "a.HIF", "a.dib", "a.apng")))
    assert not is_image_name("jpg") and not is_image_name("a.jpg.txt")

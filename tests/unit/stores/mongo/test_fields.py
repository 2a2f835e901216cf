"""Names of fields, filters and documents are checked before a server is asked."""

from __future__ import annotations

import pytest

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.mongo.fields import all_fields, check_documents, check_field, check_filter, export_csv, sort_keys


class Images:
    """A collection that has these documents."""

    def __init__(self, *documents: dict) -> None:
        self.documents = documents

    def find(self, query: dict | None = None, projection: dict | None = None) -> Images:
        return self

    def sort(self, key: str, direction: int) -> list[dict]:
        return sorted(self.documents, key=lambda document: document[key])


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "$a", "a.$b", "a\0", 1, None])
def test_what_is_no_field(name):
    with pytest.raises(ConfigError, match="is not a field"):
        check_field(name)


def test_filters_run_no_code():
    query = {"$or": [{"a.b": {"$gte": 2}}, {"c": ("x", "y")}]}
    assert check_filter(query) == {"$or": [{"a.b": {"$gte": 2}}, {"c": ["x", "y"]}]}
    assert check_filter(None) == {}
    for operator in ("$where", "$function", "$accumulator"):
        with pytest.raises(ConfigError, match="runs code"):
            check_filter({"$and": [{"a": {operator: "1"}}]})
    with pytest.raises(ConfigError, match="a filter is a mapping"):
        check_filter([])


def test_the_order_is_by_names_and_signs():
    assert sort_keys(None) == [("_id", 1)]
    assert sort_keys(["-a", "b.c"]) == [("a", -1), ("b.c", 1)]


def test_documents_that_can_be_none_are_told():
    errors: list[tuple[str, str]] = []
    documents = [{"image_id": "a", "x": 1}, {"x": 1}, {"_id": "b"}, {"image_id": "c", "a.b": 1}, {"image_id": ""}]
    assert list(check_documents(documents, errors)) == [
        {"_id": "a", "image_id": "a", "x": 1},
        {"_id": "b", "image_id": "b"},
    ]
    assert [one for one, _why in errors] == ["document 2", "c", "document 5"]
    assert "names have no dots" in errors[1][1]


def test_csv_joins_lists_and_follows_dots(tmp_path):
    faces = [{"id": "b#0"}, {"id": "b#1"}]
    images = Images({"_id": "b", "faces": {"all": faces}, "who": ["ann", None]}, {"_id": "a", "note": {"x": 1}})
    file = tmp_path / "new" / "a.csv"
    assert export_csv(images, file, {name: name for name in ("_id", "faces.all.id", "who", "note")}) == 2
    assert file.read_text() == '_id,faces.all.id,who,note\n"a",,,"{""x"": 1}"\n"b","b#0;b#1","ann;",\n'
    with pytest.raises(StoreError, match="cannot write"):
        export_csv(images, file / "below", {"_id": "_id"})


def test_all_fields_are_the_parts_of_structs_and_lists_as_they_are():
    images = Images(
        {"_id": "b", "image_id": "b", "row_hash": "f", "resnet": {"label": "cat", "top": [{"x": 1}]}, "empty": {}},
        {"_id": "a", "image_id": "a", "note": {"by": {"who": "ann"}}, "counts": {"a.b": 1}},
    )
    assert [*all_fields(images)] == ["image_id", "note.by.who", "counts", "resnet.label", "resnet.top", "empty"]

"""What a bulk write's outcome means: counted, refused one by one, or to be done again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pymongo import UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, WriteConcernError

from pixelbrain.stores.mongo.upsert import batches, bulk_write, remove_others, upsert_images


class Collection:
    """Has documents, and takes what is written to it, or answers with these details."""

    def __init__(self, *documents: dict, details: dict | None = None) -> None:
        self.documents, self.details, self.written, self.removed = documents, details, [], []

    def find(self, query: dict, projection: dict) -> tuple[dict, ...]:
        return self.documents

    def bulk_write(self, operations: list[UpdateOne], *, ordered: bool) -> SimpleNamespace:
        assert not ordered
        self.written += operations
        if self.details is not None:
            raise BulkWriteError(self.details)
        return SimpleNamespace(bulk_api_result={"nUpserted": len(operations), "nModified": 0})

    def delete_many(self, query: dict) -> SimpleNamespace:
        self.removed += query["_id"]["$in"]
        return SimpleNamespace(deleted_count=len(query["_id"]["$in"]))


def _details(concerns: list[dict] | None = None, errors: list[dict] | None = None) -> dict:
    found = {"writeConcernErrors": concerns or [], "writeErrors": errors or []}
    return {**found, "nUpserted": 1, "nModified": 1}


def test_a_document_whose_hash_is_there_is_not_written_again():
    documents = [{"_id": "a", "x": 1}, {"_id": "b", "x": 2}]
    first = Collection()
    assert upsert_images(first, documents, landed=True).written == 2
    hashes = [dict(write._doc["$set"].items())["row_hash"] for write in first.written]
    again = Collection({"_id": "a", "row_hash": hashes[0]}, {"_id": "b", "row_hash": "older"})
    result = upsert_images(again, documents, landed=True)
    assert (result.written, result.unchanged) == (1, 1) and [write._filter for write in again.written] == [{"_id": "b"}]
    assert upsert_images(again, documents, landed=True, rewrite=True).written == 2


def test_a_bad_document_is_not_sent():
    sent = Collection()
    result = upsert_images(sent, [{"_id": "a", "x": 2**70}, {"_id": "b"}])
    assert result.written == 1 and [one for one, _why in result.errors] == ["a"]
    assert sent.written[0]._doc == {"$setOnInsert": {}}


def test_what_the_server_refuses_is_told_by_id():
    refused = {"op": {"q": {"_id": "a"}}, "errmsg": "too deep"}
    result = bulk_write(Collection(details=_details(errors=[refused])), [UpdateOne({}, {})] * 4)
    assert (result.written, result.unchanged, result.errors) == (2, 1, (("a", "too deep"),))


@pytest.mark.parametrize(
    ("code", "error"), [(91, AutoReconnect), (11600, AutoReconnect), (189, AutoReconnect), (64, WriteConcernError)]
)
def test_what_is_not_on_disk_is_not_written(code, error):
    details = _details(concerns=[{"code": code, "errmsg": "shutting down"}])
    with pytest.raises(error, match="shutting down"):
        bulk_write(Collection(details=details), [UpdateOne({}, {})])


@pytest.mark.parametrize("code", [189, 10107, 11602])
def test_a_row_that_a_step_down_refused_is_to_be_written_again(code):
    refused = {"op": {"q": {"_id": "a"}}, "code": code, "errmsg": "stepped down"}
    with pytest.raises(AutoReconnect, match="stepped down"):
        bulk_write(Collection(details=_details(errors=[refused])), [UpdateOne({}, {})] * 3)


def test_what_is_not_kept_is_removed():
    collection = Collection(*({"_id": str(n)} for n in range(2_500)))
    assert remove_others(collection, {}, lambda ids: np.array([int(one) % 500 > 0 for one in ids])) == 5
    assert collection.removed == ["0", "500", "1000", "1500", "2000"]
    assert [len(batch) for batch in batches(range(2_500))] == [1_000, 1_000, 500]

"""What the stores compare: digests of tables, samples of vectors, hashes of rows, and ChromaDB's words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.stores.chroma.health import is_damage, same_direction
from pixelbrain.stores.chroma.load import _SAMPLED, _Sampler
from pixelbrain.stores.load_record import GROUP_COLUMNS, IDENTITY_COLUMNS, table_digest
from pixelbrain.stores.vectors import VectorBatch


def _identities(**changes) -> pa.Table:
    rows = [
        {
            "face_id": f"\u00e9{n}#0",
            "image_id": f"\u00e9{n}",
            "identity_id": None if n % 3 else f"p{n}",
            "assigned": "x",
        }
        for n in range(100)
    ]
    rows[7].update(changes)
    return pa.Table.from_pylist(rows, schema=schema.IDENTITY_SCHEMA)


def test_a_table_digest_follows_its_values_only():
    table = _identities()
    digest = table_digest(table, IDENTITY_COLUMNS)
    assert len(digest) == 16
    assert table_digest(pa.concat_tables([table.slice(0, 30), table.slice(30)]), IDENTITY_COLUMNS) == digest
    assert table_digest(_identities(distance=0.5), IDENTITY_COLUMNS) == digest  # a document does not have it
    changes = ({"identity_id": "p"}, {"identity_id": ""}, {"face_id": "x"}, {"image_id": "x"})
    others = [table_digest(_identities(**change), IDENTITY_COLUMNS) for change in changes]
    others += [table_digest(table.slice(1), IDENTITY_COLUMNS), table_digest(None, IDENTITY_COLUMNS)]
    assert len({digest, *others}) == 7
    assert table_digest(table.slice(0, 0), IDENTITY_COLUMNS) == table_digest(None, IDENTITY_COLUMNS)


def test_distances_of_groups_count():
    rows = [{"image_id": "a", "group_id": "g", "distance": 0.25}, {"image_id": "b", "group_id": None, "distance": None}]
    table = pa.Table.from_pylist(rows, schema=schema.GROUP_SCHEMA)
    rows[0]["distance"] = 0.26
    other = pa.Table.from_pylist(rows, schema=schema.GROUP_SCHEMA)
    assert table_digest(table, GROUP_COLUMNS) != table_digest(other, GROUP_COLUMNS)


def test_a_sample_is_of_all_batches_and_of_what_was_written():
    sampler = _Sampler()
    assert (sampler.taken(0).count, list(sampler.taken(0).ids)) == (0, [])
    for start in range(0, 5000, 500):
        ids = [str(n) for n in range(start, start + 500)]
        vectors = np.arange(start, start + 500, dtype=np.float32)[:, None]
        sampler.add(VectorBatch(ids=ids, vectors=vectors, metadata=[{}] * 500), {ids[0]})
    sample = sampler.taken(4990)
    assert len(set(sample.ids)) == len(sample.ids) == _SAMPLED and sample.vectors.shape == (_SAMPLED, 1)
    assert [int(one) for one in sample.ids] == sample.vectors[:, 0].tolist()
    assert not {int(one) % 500 for one in sample.ids} & {0}
    assert len({int(one) // 500 for one in sample.ids}) == 10  # 1 in 10^8 that one of ten is missed


def test_vectors_are_the_same_within_float32():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(4, 512)).astype(np.float32)
    vectors[3] = 0
    normalised = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    assert same_direction(normalised, vectors).all()
    vectors[1, 5] += 0.01
    vectors[2] = 0
    assert same_direction(normalised, vectors).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("reason", "damage"),
    [
        ("error returned from database: (code: 11) database disk image is malformed", True),
        ("error returned from database: (code: 26) file is not a database", True),
        ("Error executing plan: Internal error: Error getting embedding", True),
        ("error returned from database: (code: 5) database is locked", False),
        ("error returned from database: (code: 1032) attempt to write a readonly database", False),
        ("error returned from database: (code: 13) database or disk is full", False),
        ("Error creating hnsw segment reader: No space left on device (os error 28)", False),
    ],
)
def test_only_damage_is_damage(reason, damage):
    assert is_damage(reason) is damage

"""What is damage: other vectors than were written, and what ChromaDB says of a broken file, not of a full disk."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.stores.chroma.health import Finding, damage_of, is_damage, same_direction


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


def test_a_weak_index_is_no_damage():
    weak, broken = Finding(kind="recall", reason="1 of 9"), Finding(kind="index", reason="it is not there")
    assert damage_of({"images": weak, "faces": broken}) == {"faces": broken}

"""Digests tell ids apart, and are found again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests


def test_digests_of_slices_and_of_nothing():
    words = pa.chunked_array([["a", "b"], [], ["c", "", "é"]], pa.string())
    digests = digest_ids(words)
    assert digests.shape == (5, 2) and len({tuple(d) for d in digests.tolist()}) == 5
    assert (digest_ids(words.slice(1, 3)) == digests[1:4]).all()
    assert (digest_ids(words.cast(pa.large_string())) == digests).all()
    assert digest_ids(pa.array([], pa.string())).shape == (0, 2)


def test_digests_that_share_their_upper_half_stay_apart():
    digests = np.array([[7, 1], [5, 9], [7, 3], [7, 2], [7, 1]], np.uint64)
    order, first = sort_digests(digests)
    assert order.tolist() == [1, 0, 4, 3, 2] and first.tolist() == [True, True, False, True, True]
    table = DigestTable(digests[order[first]])
    wanted = np.array([[7, 3], [7, 4], [5, 9], [7, 1], [9, 9], [0, 1], [7, 2]], np.uint64)
    assert table.find(wanted).tolist() == [3, -1, 0, 1, -1, -1, 2]
    assert DigestTable(digests[:0]).find(wanted).tolist() == [-1] * 7

"""The sample of vectors that a load looks for afterwards."""

from __future__ import annotations

import numpy as np

from pixelbrain.stores.chroma.load import _SAMPLED, _Sampler
from pixelbrain.stores.vectors import VectorBatch


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

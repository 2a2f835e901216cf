"""Pools in words."""

from __future__ import annotations

from pixelbrain.engine.plan.pools import Pool


def test_what_an_actor_reserves_in_words():
    pool = Pool(name="a", min_actors=1, max_actors=1, cpus=0.9, gpus=0.5, memory_bytes=10**9, labels={"t": "x"})
    assert pool.needs() == "0.9 CPU, 0.5 GPU, 1.0 GB on nodes labelled t=x"
    assert Pool(name="a", min_actors=1, max_actors=1, cpus=2).needs() == "2 CPU"

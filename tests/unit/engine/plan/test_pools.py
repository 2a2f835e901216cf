"""Pools in words, and the plan that they make."""

from __future__ import annotations

from pixelbrain.engine.plan.pools import Plan, Pool


def test_what_an_actor_reserves_in_words():
    pool = Pool(name="a", min_actors=1, max_actors=1, cpus=0.9, gpus=0.5, memory_bytes=10**9, labels={"t": "x"})
    assert pool.needs() == "0.9 CPU, 0.5 GPU, 1.0 GB on nodes labelled t=x"
    assert Pool(name="a", min_actors=1, max_actors=1, cpus=2).needs() == "2 CPU"


def test_a_plan_is_on_a_gpu_where_any_pool_is():
    pools = [Pool(name=name, min_actors=1, max_actors=1, cpus=1, device=device) for name, device in (("a", "cpu"),) * 2]
    plan = Plan(layout="fused", pools=(*pools,), block_rows=8, chunk_rows=0, object_store_bytes=0)
    assert plan.device == "cpu"
    gpu = Pool(name="b", min_actors=1, max_actors=1, cpus=1, device="cuda")
    plan = Plan(layout="staged", pools=(*pools, gpu), block_rows=8, chunk_rows=0, object_store_bytes=0)
    assert plan.device == "cuda" and plan.pool("b") is gpu

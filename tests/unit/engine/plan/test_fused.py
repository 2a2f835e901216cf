"""Equal actors: how many a node has, and what each reserves."""

from __future__ import annotations

import pytest

from pixelbrain.config import Placement
from pixelbrain.engine.plan.fused import actor_memory, fused_pools
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.errors import EngineError
from pixelbrain.modules.base import Resources

MB = 1024**2
HALF = {"a": Resources(num_gpus=0.2), "b": Resources(num_gpus=0.3)}


def pool(nodes, needs=None, device="cpu", images=10**9, **wishes):
    (made,) = fused_pools(nodes, needs or {"a": Resources()}, Placement(**wishes), device, images=images)
    return made


def test_modules_that_share_a_card_share_it_together():
    assert pool([Node(cpus=8, gpus=1)], HALF, "cuda").gpus == 0.5
    assert pool([Node(cpus=8, gpus=1)], HALF, "cuda").min_actors == 2
    silent = {**HALF, "c": Resources()}  # one wants a card, or an equal part of one
    assert pool([Node(cpus=8, gpus=1)], silent, "cuda").gpus == 1.0
    assert pool([Node(cpus=8, gpus=1)], HALF, "cuda", gpus_per_actor={"images": 0.25}).min_actors == 4


def test_batches_are_as_large_as_the_largest_wants_them():
    made = pool([Node(cpus=2)], {"a": Resources(batch_size=8), "b": Resources(batch_size=64)})
    assert made.batch_size == 64 and made.modules == ("a", "b")


def test_nodes_without_the_label_are_not_counted():
    nodes = [Node(cpus=4, labels={"tier": "spot"}), Node(cpus=64)]
    assert pool(nodes, node_labels={"": "tier=spot"}).min_actors == 1
    with pytest.raises(EngineError, match="no node has the label"):
        pool(nodes, node_labels={"": "tier=none"})


def test_no_more_actors_than_there_is_work_for():
    assert pool([Node(cpus=64)], images=24).min_actors == 3
    assert pool([Node(cpus=64)], images=24).max_actors == 3


def test_modules_without_a_model_have_an_actor_a_cpu_where_the_images_are_worth_its_start():
    light = {name: Resources(with_decoder=True, memory_bytes=MB) for name in ("exif", "quality")}
    made = pool([Node(cpus=4)], light)
    assert (made.min_actors, made.threads) == (4, 1) and 3 < made.min_actors * made.cpus < 4
    assert pool([Node(cpus=4)], light, images=1000).min_actors == 1
    assert pool([Node(cpus=4)], light, images=1500).min_actors == 2
    assert pool([Node(cpus=4)], {**light, "resnet": Resources(memory_bytes=700 * MB)}).min_actors == 1
    assert pool([Node(cpus=8, gpus=1)], light, "cuda").min_actors == 1
    assert pool([Node(cpus=4)], light, actors={"images": "1"}).min_actors == 1
    assert pool([Node(cpus=4, memory_bytes=700 * MB)], light).min_actors == 2  # 302 MB each


def test_memory_is_the_modules_and_the_process_or_what_a_node_has():
    needs = [Resources(memory_bytes=500 * MB), Resources(memory_bytes=200 * MB)]
    assert actor_memory([Node(cpus=1, memory_bytes=8000 * MB)], needs) == 1000 * MB
    assert actor_memory([Node(cpus=1, memory_bytes=100 * MB)], needs) == 90 * MB
    assert actor_memory([], needs) == 900 * MB

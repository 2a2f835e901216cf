"""What travels between the pools, and how many actors each has."""

from __future__ import annotations

import pytest

from pixelbrain.config import Placement
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import find_shortage
from pixelbrain.engine.plan.staged import chunk_rows, staged_pools, waiting_bytes
from pixelbrain.modules.base import Resources

MB = 1024**2
BOTH = {"small": Resources(input_bytes=MB), "large": Resources(input_bytes=3 * MB, batch_size=4)}


def pools(nodes, needs=None, device="cpu", most=10**9, **wishes):
    made = staged_pools(nodes, needs or BOTH, Placement(**wishes), device, most=most)
    return {pool.name: pool for pool in made}


@pytest.mark.parametrize(
    ("store_mb", "needs", "rows"),
    [
        (10_000, BOTH, 16),  # 64 MB
        (128, BOTH, 2),  # a sixteenth of the smallest store
        (1, BOTH, 1),
        (10_000, {"a": Resources(input_bytes=1, batch_size=8)}, 8),  # no more than a batch
    ],
)
def test_images_that_travel_together(store_mb, needs, rows):
    nodes = [Node(cpus=4, object_store_bytes=10_000 * MB), Node(cpus=4, object_store_bytes=store_mb * MB)]
    assert chunk_rows(nodes, needs) == rows


def test_waiting_inputs_are_those_of_the_modules_still_to_come():
    nodes = [Node(cpus=16, gpus=2)]
    made = staged_pools(nodes, BOTH, Placement(actors={"decode": "1"}), "cuda", most=10**9)
    assert [pool.name for pool in made] == ["decode", "small", "large", "land"]
    assert [pool.min_actors for pool in made] == [1, 1, 1, 2] and [pool.batch_size for pool in made[1:3]] == [32, 4]
    # a chunk of 8 with the decoder, two batches of 4 chunks before the first module, of one before the second
    assert waiting_bytes(made, BOTH, 8) == 8 * 4 * MB + 2 * 32 * 4 * MB + 2 * 8 * 3 * MB


def test_a_card_is_shared_as_the_modules_say():
    needs = {"small": Resources(num_gpus=0.25), "large": Resources()}
    made = pools([Node(cpus=8, gpus=1)], needs, "cuda")
    assert (made["small"].gpus, made["large"].gpus) == (0.25, 1.0)
    made = pools([Node(cpus=8, gpus=1)], needs, "cuda", gpus_per_actor={"small": 0.5, "large": 0.5})
    assert (made["small"].gpus, made["large"].gpus) == (0.5, 0.5)


def test_a_module_that_takes_no_card_computes_on_cpus():
    made = pools([Node(cpus=16, gpus=1)], {"a": Resources(), "b": Resources(num_gpus=0)}, "cuda")
    assert (made["a"].device, made["b"].device, made["b"].gpus) == ("cuda", "cpu", 0)


def test_a_batch_is_no_larger_than_the_store_can_hold():
    made = pools([Node(cpus=4, object_store_bytes=64 * MB)], {"a": Resources(input_bytes=MB)})
    assert 1 <= made["a"].batch_size < 32


def test_no_pool_has_more_actors_than_there_are_chunks():
    assert {pool.min_actors for pool in pools([Node(cpus=64)], most=1).values()} == {1}


@pytest.mark.parametrize(
    ("nodes", "device", "landers"),
    [
        ([Node(cpus=8, gpus=1)] * 8 + [Node(cpus=16)] * 4, "cuda", 8),  # a card each
        (
            [Node(cpus=8, gpus=8), Node(cpus=4)],
            "cuda",
            4,
        ),  # 3 in what the cards' actors leave of 8 CPUs, 1 beside a decoder
        ([Node(cpus=1, gpus=8)], "cuda", 1),  # there is no room, and one is the least
        ([Node(cpus=64)], "cpu", 2),  # 12 actors without cards: one for eight of them
    ],
)
def test_a_card_has_somebody_to_land_for_it_where_there_is_room(nodes, device, landers):
    made = pools(nodes, {"a": Resources()}, device)
    assert made["land"].min_actors == landers
    assert made["decode"].min_actors >= 1
    if sum(node.cpus for node in nodes) > 1:
        assert find_shortage(made.values(), nodes) is None
    assert pools(nodes, {"a": Resources()}, device, actors={"land": "5"})["land"].min_actors == 5

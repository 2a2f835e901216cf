"""Pools in words, and what fits on which nodes, against a search through all ways to place a few actors."""

from __future__ import annotations

import itertools
import random

from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Pool, count_room, find_shortage


def pool(name: str, actors: int, cpus: float, gpus: float = 0.0, **more) -> Pool:
    return Pool(name=name, min_actors=actors, max_actors=None, cpus=cpus, gpus=gpus, **more)


def test_actors_of_all_pools_are_put_side_by_side():
    nodes = [Node(cpus=4), Node(cpus=4, gpus=1)]
    assert find_shortage([pool("a", 4, 1), pool("b", 2, 2)], nodes) is None
    starving, room = find_shortage([pool("a", 5, 1), pool("b", 2, 2)], nodes)
    assert (starving.name, room) == ("a", 4)


def test_a_cpu_actor_leaves_gpu_nodes_to_those_that_need_them():
    nodes = [Node(cpus=2, gpus=1), Node(cpus=2)]
    assert find_shortage([pool("decode", 2, 1), pool("model", 2, 1, 0.5)], nodes) is None


def test_memory_and_labels_count():
    nodes = [Node(cpus=8, memory_bytes=10, labels={"tier": "a"}), Node(cpus=8, memory_bytes=4)]
    assert find_shortage([pool("m", 3, 1, memory_bytes=4)], nodes) is None
    assert find_shortage([pool("m", 4, 1, memory_bytes=4)], nodes)[1] == 3
    assert find_shortage([pool("m", 3, 1, memory_bytes=4, labels={"tier": "a"})], nodes)[1] == 2


def test_room_beside_others():
    assert count_room(pool("decode", 1, 1.8), [pool("list", 1, 0.05)], [Node(cpus=4), Node(cpus=2)], most=10) == 3
    assert count_room(pool("decode", 1, 1.8), [], [Node(cpus=40)], most=5) == 5


def test_what_is_let_through_can_be_placed():
    """Not the other way round: Ray spreads actors as they come, and does not search for the one way that fits."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    fitted = 0
    for _ in range(200):
        nodes = [Node(cpus=rng.choice([1, 2, 4]), gpus=rng.choice([0, 1, 2])) for _ in range(2)]
        pools = [pool("m", rng.randint(1, 3), 0.5, rng.choice([0, 0.5, 1])), pool("d", rng.randint(1, 2), 1.0)]
        if find_shortage(pools, nodes) is None:
            fitted += 1
            assert can_be_placed(pools, nodes), (pools, nodes)
    assert 0 < fitted < 200


def can_be_placed(pools: list[Pool], nodes: list[Node]) -> bool:
    actors = [one for one in pools for _ in range(one.min_actors)]
    slots = [(n, card) for n, node in enumerate(nodes) for card in range(max(1, int(node.gpus)))]
    for chosen in itertools.product(slots, repeat=len(actors)):
        cpus = [node.cpus for node in nodes]
        cards = {(n, card): 1.0 for n, node in enumerate(nodes) for card in range(int(node.gpus))}
        for actor, slot in zip(actors, chosen, strict=True):
            cpus[slot[0]] -= actor.cpus
            if actor.gpus:
                cards[slot] = cards.get(slot, 0.0) - actor.gpus
        if min(cpus) >= 0 and min(cards.values(), default=0) >= 0:
            return True
    return False


def test_what_an_actor_reserves_in_words():
    pool = Pool(name="a", min_actors=1, max_actors=1, cpus=0.9, gpus=0.5, memory_bytes=10**9, labels={"t": "x"})
    assert pool.needs() == "0.9 CPU, 0.5 GPU, 1.0 GB on nodes labelled t=x"
    assert Pool(name="a", min_actors=1, max_actors=1, cpus=2).needs() == "2 CPU"

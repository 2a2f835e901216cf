"""The plan fits the nodes that there are, and says so where it cannot."""

from __future__ import annotations

import pytest

from pixelbrain.config import Placement
from pixelbrain.engine.plan.make import check_fit
from pixelbrain.engine.plan.make import make_plan as plan_for
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.plan.pools import Plan, Pool, find_shortage
from pixelbrain.errors import ConfigError, EngineError
from pixelbrain.modules.base import Resources

GB = 1e9
SIZE = {"size": Resources()}
BOTH = {"resnet": Resources(input_bytes=150_000), "facenet": Resources(batch_size=16, input_bytes=6_000_000)}


def node(cpus: float, gpus: int = 0, **more) -> Node:
    return Node(cpus=cpus, gpus=gpus, memory_bytes=more.pop("memory", 16 * GB), object_store_bytes=4 * GB, **more)


def make_plan(images, nodes, needs, placement=None) -> Plan:
    plan = plan_for(images, nodes, needs, placement)
    if placement is None or not placement.autoscale:
        check_fit(plan, nodes)
    return plan


def counts(plan) -> dict[str, int]:
    return {pool.name: pool.min_actors for pool in plan.pools}


def pool_of(plan, name: str) -> Pool:
    return next(pool for pool in plan.pools if pool.name == name)


def device_of(plan) -> str:
    return "cuda" if any(pool.device == "cuda" for pool in plan.pools) else "cpu"


# --- fused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [0.5, 1, 2, 4, 7, 16, 96])
@pytest.mark.parametrize("images", [0, 1, 20, 300, 1_000_000])
def test_a_cpu_plan_reserves_less_than_there_is(cpus, images):
    plan = make_plan(images, [node(cpus, memory=200 * GB)], SIZE)
    pool = pool_of(plan, "images")
    assert device_of(plan) == "cpu" and pool.gpus == 0
    assert pool.min_actors >= 1 and pool.threads >= 1
    assert 0 < pool.min_actors * pool.cpus < cpus
    assert 8 <= plan.block_rows <= 1024


def test_a_block_is_a_24th_of_an_actor_s_share_and_of_an_unknown_number_a_small_one():
    found = {images: make_plan(images, [node(2)], SIZE).block_rows for images in (100, 20_000, 10**7, None)}
    assert found == {100: 8, 20_000: 864, 10**7: 1024, None: 256}  # whole batches of 32


def test_a_laptop_has_one_actor_and_a_workstation_several():
    assert counts(make_plan(10_000, [node(2)], SIZE)) == {"images": 1}
    assert counts(make_plan(10_000, [node(16)], SIZE)) == {"images": 4}
    assert counts(make_plan(5, [node(16)], SIZE)) == {"images": 1}


def test_memory_is_shared_as_cpus_are():
    few = make_plan(10_000, [node(16, memory=3 * GB)], {"big": Resources(memory_bytes=1_000_000_000)})
    assert counts(few) == {"images": 2}
    tight = make_plan(10_000, [node(2, memory=0.5 * GB)], {"big": Resources(memory_bytes=1_000_000_000)})
    assert counts(tight) == {"images": 1} and pool_of(tight, "images").memory_bytes < 0.5 * GB


def test_gpus_get_an_actor_each():
    plan = make_plan(10_000, [node(32, 4)], SIZE)
    assert (device_of(plan), counts(plan), pool_of(plan, "images").gpus) == ("cuda", {"images": 4}, 1.0)
    assert device_of(make_plan(10_000, [node(32, 4)], SIZE, Placement(device="cpu"))) == "cpu"


def test_small_and_large_nodes_are_both_filled():
    plan = make_plan(None, [node(16), node(2), node(0)], SIZE)
    pool = pool_of(plan, "images")
    assert (pool.min_actors, pool.threads, pool.max_actors) == (9, 2, None)


def test_a_pool_of_one_machine_does_not_grow_and_one_of_a_cluster_does():
    assert make_plan(None, [node(2)], SIZE).pools[0].max_actors == 1
    assert make_plan(None, [node(2), node(2)], SIZE).pools[0].max_actors is None
    assert make_plan(None, [node(8)], SIZE, Placement(actors="1:3")).pools[0].max_actors == 3


def test_what_is_not_there_is_named():
    with pytest.raises(EngineError, match="no GPU"):
        make_plan(10, [node(2)], SIZE, Placement(device="cuda"))
    with pytest.raises(EngineError, match="no CPU"):
        make_plan(10, [], SIZE)


# --- staged --------------------------------------------------------------------------------------------------------


def test_cpu_nodes_decode_for_gpu_nodes():
    plan = make_plan(None, [node(0), node(16), node(16), node(8, 2)], BOTH)
    assert plan.layout == "staged" and device_of(plan) == "cuda"
    assert [pool.name for pool in plan.pools] == ["decode", "resnet", "facenet", "land"]
    found = counts(plan)
    assert (found["resnet"], found["facenet"]) == (1, 1)  # a card each, as there are two
    assert found["decode"] >= 7 and pool_of(plan, "decode").gpus == 0
    assert plan.object_store_bytes < 16 * GB and find_shortage(plan.pools, [node(16), node(16), node(8, 2)]) is None


def test_every_actor_fits_on_one_node():
    nodes = [node(0), node(2), node(2), node(2)]
    plan = make_plan(None, nodes, SIZE, Placement(layout="staged"))
    assert counts(plan) == {"decode": 1, "size": 2, "land": 1} and pool_of(plan, "size").threads == 2
    for images in (None, 0):
        assert counts(make_plan(images, [node(2)], BOTH, Placement(layout="staged")))["resnet"] == 1


def test_modules_share_a_card_where_there_are_not_enough():
    plan = make_plan(None, [node(16), node(8, 1)], BOTH)
    assert [pool_of(plan, name).gpus for name in ("resnet", "facenet")] == [0.5, 0.5]
    wished = Placement(gpus_per_actor={"resnet": 0.25, "facenet": 0.75})
    plan = make_plan(None, [node(16), node(8, 2)], BOTH, wished)
    assert counts(plan)["resnet"] == counts(plan)["facenet"] == 2


def test_a_pool_that_is_named_makes_it_staged():
    plan = make_plan(None, [node(16, 2)], BOTH, Placement(actors={"resnet": "1:2"}, gpus_per_actor=0.5))
    assert plan.layout == "staged" and pool_of(plan, "resnet").max_actors == 2
    with pytest.raises(ConfigError, match="no pool 'resnt' in the staged layout; it has decode, resnet, facenet, land"):
        make_plan(None, [node(16, 2)], BOTH, Placement(actors={"resnt": "1:2"}))


def test_labels_say_where_a_pool_goes():
    nodes = [node(4, labels={"tier": "cpu"}), node(8, 1, labels={"tier": "gpu"})]
    plan = make_plan(None, nodes, BOTH, Placement(node_labels={"decode": "tier=cpu"}))
    assert pool_of(plan, "decode").labels == {"tier": "cpu"} and pool_of(plan, "resnet").labels == {}
    with pytest.raises(EngineError, match=r"pool decode wants 1 x \(.*on nodes labelled tier=none\)"):
        make_plan(None, nodes, BOTH, Placement(node_labels={"decode": "tier=none"}))


def test_what_would_starve_is_refused_with_the_numbers():
    with pytest.raises(EngineError) as refused:
        make_plan(None, [node(2, 1)], BOTH, Placement(gpus_per_actor={"resnet": 1, "facenet": 1}))
    said = str(refused.value)
    assert "wants 1 x (" in said and "on 1 node with 2 CPUs and 1 GPUs there is room for 0 beside" in said
    assert "--gpus-per-actor" in said and "=0.5" in said
    with pytest.raises(EngineError, match="room for 2 beside the others.*--actors images=2"):
        make_plan(None, [node(4), node(4)], SIZE, Placement(actors="5"))


def test_a_part_of_a_card_cannot_be_had_from_two():
    wished = Placement(layout="staged", actors={"facenet": "3"}, gpus_per_actor={"resnet": 0.1, "facenet": 0.6})
    with pytest.raises(EngineError, match="pool facenet wants 3 x .* room for 2"):
        make_plan(None, [node(16, 2)], BOTH, wished)


def test_the_object_store_has_room_for_what_waits():
    small = [Node(cpus=4, memory_bytes=8 * GB, object_store_bytes=80e6) for _ in range(2)]
    plan = make_plan(None, small, BOTH, Placement(layout="staged", device="cpu"))
    assert plan.chunk_rows == 1 and plan.object_store_bytes <= 160e6
    with pytest.raises(EngineError, match="in the object store, which has 2 MB"):
        make_plan(None, [Node(cpus=4, object_store_bytes=2e6)], BOTH, Placement(layout="staged"))


@pytest.mark.parametrize("layout", ["fused", "staged"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_nodes_that_are_to_come_are_planned_for(layout, device):
    wished = Placement(layout=layout, device=device, autoscale=True, node_labels={"": "tier=spot"})
    plan = make_plan(None, [node(0)], BOTH, wished)
    assert device_of(plan) == device and all(pool.min_actors == 1 for pool in plan.pools)
    first = plan.pools[0]
    assert first.threads == (4 if layout == "fused" else first.threads) and first.max_actors is None
    assert first.cpus >= 0.9
    more = make_plan(None, [node(0)], BOTH, Placement(layout="fused", autoscale=True, cpus_per_actor={"images": 14}))
    assert (more.pools[0].cpus, more.pools[0].threads) == (12.6, 14)

"""Which actor asks about what, and where the actors run, by what Ray says of the nodes."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pixelbrain.engine.ask.run import _BLOCK_ROWS, _blocks_by_actor, asker_placement, limiter_placement


def test_blocks_hold_every_image_once_and_copies_go_to_one_actor() -> None:
    hashes = [f"{number % 50:08x}" + "0" * 56 for number in range(200)] + [None]
    rows = pa.table({"image_id": [str(number) for number in range(201)], "sha256": hashes})
    queues = [list(queue) for queue in _blocks_by_actor(rows, 3)]
    assert all(len(block) <= _BLOCK_ROWS for queue in queues for block in queue)
    asked = [
        (number, row["image_id"], row["sha256"]) for number, queue in enumerate(queues) for b in queue for row in b
    ]
    assert sorted(int(image_id) for _, image_id, _ in asked) == list(range(201))
    assert len({(number, sha) for number, _, sha in asked if sha}) == 50


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ray.nodes()` returns."""
    found: list[dict[str, Any]] = []
    ray, strategies = ModuleType("ray"), ModuleType("ray.util.scheduling_strategies")
    ray.nodes = lambda: found  # type: ignore[attr-defined]
    ray.get_runtime_context = lambda: SimpleNamespace(get_node_id=lambda: "driver")  # type: ignore[attr-defined]
    strategies.NodeAffinitySchedulingStrategy = lambda node_id, **more: (node_id, more["soft"])  # type: ignore
    for name, module in (("ray", ray), ("ray.util", ModuleType("ray.util")), (strategies.__name__, strategies)):
        monkeypatch.setitem(sys.modules, name, module)
    return found


def node(name: str, *, gpu: int = 0, cpu: int = 4, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpu, "GPU": gpu}}


def test_the_limiter_is_where_the_driver_is(nodes: list[dict[str, Any]]) -> None:
    assert limiter_placement() == {"num_cpus": 0, "memory": 1, "scheduling_strategy": ("driver", True)}


def test_askers_take_turns_on_nodes_without_a_gpu(nodes: list[dict[str, Any]]) -> None:
    nodes += [node("c"), node("g", gpu=1), node("a"), node("dead", alive=False), node("head", cpu=0)]
    found = [asker_placement(number)["scheduling_strategy"] for number in range(3)]
    assert found == [("a", True), ("c", True), ("a", True)]


@pytest.mark.parametrize("gpu", [0, 1])
def test_where_all_nodes_are_alike_ray_spreads_them(nodes: list[dict[str, Any]], gpu: int) -> None:
    nodes += [node("a", gpu=gpu), node("b", gpu=gpu)]
    assert asker_placement(0) == {"num_cpus": 0.1, "scheduling_strategy": "SPREAD"}

"""Where the actors of the asking lane run: the limiter where the driver is, the askers on nodes without a GPU."""

from __future__ import annotations

from typing import Any


def limiter_placement() -> dict[str, Any]:
    """Options of the limiter: no CPU, and the driver's node.

    It is the node whose loss ends the run in any case, so that a spot instance that is taken away does not take the
    limiter, which would then wait for a whole window. Softly: if the driver's node takes no actor, it runs elsewhere.
    """
    import ray

    # Ray puts an actor that needs nothing at all anywhere; a byte every node has, a head without CPUs, too
    return {"num_cpus": 0, "memory": 1, "scheduling_strategy": _on(ray.get_runtime_context().get_node_id())}


def asker_placement(number: int) -> dict[str, Any]:
    """Options of the asker of this number, counted from 0: a tenth of a CPU, and a node without a GPU.

    They take turns on these nodes, softly: asking needs no GPU, and an asker would keep an expensive node from being
    given back when it is idle. Where all nodes are alike, Ray spreads them.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    plain = sorted(node["NodeID"] for node in nodes if not node["Resources"].get("GPU"))
    strategy = _on(plain[number % len(plain)]) if 0 < len(plain) < len(nodes) else "SPREAD"
    return {"num_cpus": 0.1, "scheduling_strategy": strategy}


def _on(node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # a node that is full takes none either, and an actor that waits for room there would wait for a whole run
    return NodeAffinitySchedulingStrategy(node_id, soft=True, _spill_on_unavailable=True)

"""The machines that work can go to: what Ray says of its nodes, or this machine where no Ray runs yet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pixelbrain.engine.ray_private import gpus_here
from pixelbrain.machine import may_have_gpu, usable_cpus, usable_memory


@dataclass(frozen=True, kw_only=True)
class Node:
    """What one node has in all, whoever uses it."""

    node_id: str = ""
    name: str = ""  # of the host
    cpus: float
    gpus: float = 0.0
    memory_bytes: float = float("inf")  # for actors, beside the object store
    object_store_bytes: float = float("inf")
    labels: Mapping[str, str] = field(default_factory=dict)

    def has_labels(self, wanted: Mapping[str, str]) -> bool:
        """Whether it has all of them."""
        return wanted.items() <= self.labels.items()


def cluster_nodes() -> list[Node]:
    """The nodes of the Ray that this process is connected to, those that are alive."""
    import ray

    return [
        Node(
            node_id=found["NodeID"],
            name=found["NodeManagerHostname"],
            cpus=found["Resources"].get("CPU", 0.0),
            gpus=found["Resources"].get("GPU", 0.0),
            memory_bytes=found["Resources"].get("memory", 0.0),
            object_store_bytes=found["Resources"].get("object_store_memory", 0.0),
            labels=found.get("Labels") or {},
        )
        for found in ray.nodes()
        if found["Alive"]
    ]


def count_nodes() -> int:
    """Nodes of the Ray that RAY_ADDRESS names, as in a job; 1 where it names none. Raises as `ray_session` does."""
    from pixelbrain.engine.cluster.session import find_ray, ray_session

    if not os.environ.get("RAY_ADDRESS") or find_ray() is None:
        return 1
    with ray_session():
        return len(cluster_nodes())


def this_machine(object_store_bytes: float | None = None) -> list[Node]:
    """This machine as the one node of a Ray that would be started here, near enough to plan with.

    Without a Ray, what waits has the same memory as all else.
    """
    cpus, memory = usable_cpus(), usable_memory() - (object_store_bytes or 0)
    store = memory if object_store_bytes is None else object_store_bytes
    gpus = gpus_here() if may_have_gpu() else 0  # Ray itself is imported to count them
    return [Node(name="this machine", cpus=cpus, gpus=gpus, memory_bytes=memory, object_store_bytes=store)]


def describe_nodes(nodes: Sequence[Node]) -> str:
    """In words: how many, and what they have together."""
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)} with {cpus:g} CPUs and {gpus:g} GPUs"

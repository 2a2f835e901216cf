"""Where work can go, from what Ray says of its nodes, or from this machine."""

from __future__ import annotations

import os

import psutil
import ray

from pixelbrain.engine.plan.nodes import Node, cluster_nodes, count_nodes, describe_nodes, this_machine


def test_nodes_that_are_alive(monkeypatch):
    def node(name: str, alive: bool, **resources: float) -> dict:
        return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": resources, "Labels": None}

    said = [node("one", True, CPU=4.0, GPU=1.0, memory=8.0, object_store_memory=2.0), node("two", False, CPU=64.0)]
    monkeypatch.setattr(ray, "nodes", lambda: [*said, node("three", True)])
    first, head = cluster_nodes()
    assert first == Node(node_id="one", name="one", cpus=4, gpus=1, memory_bytes=8, object_store_bytes=2)
    assert (head.cpus, head.gpus, head.memory_bytes, head.labels) == (0, 0, 0, {})  # not without a limit


def test_this_machine_is_one_node():
    (node,) = this_machine(10_000)
    assert node.cpus == len(os.sched_getaffinity(0)) and node.object_store_bytes == 10_000
    assert 0 < node.memory_bytes < psutil.virtual_memory().total


def test_without_an_address_there_is_one_node(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert count_nodes() == 1
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert count_nodes() == 1


def test_in_words():
    assert describe_nodes([Node(cpus=4)]) == "1 node with 4 CPUs and 0 GPUs"
    assert describe_nodes([Node(cpus=0.5), Node(cpus=4, gpus=2)]) == "2 nodes with 4.5 CPUs and 2 GPUs"

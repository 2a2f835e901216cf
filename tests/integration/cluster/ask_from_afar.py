"""Asks with the limiter on another node than the driver's, as if that had room for none: python -m ... OUT."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

import ray

import pixelbrain as pb
from pixelbrain.engine.ask import run as lane
from pixelbrain.landing.landing import Landing

__all__ = ["CONCURRENCY", "LABEL", "RPM", "WINDOW_S"]

CONCURRENCY, RPM, WINDOW_S = 8, 2400, 3
#: Of the node with the limiter.
LABEL = ("tier", "cpu")
_NODES = 3  # the head, which has no CPUs, and two that ask


def main(out: str) -> None:
    """Print the run's report."""

    beside_the_driver = lane.limiter_placement

    def placement() -> dict[str, Any]:
        while len(nodes := [node for node in ray.nodes() if node["Alive"]]) > _NODES:
            time.sleep(0.1)  # Ray has not yet missed what an earlier test has ended
        (node,) = (node for node in nodes if LABEL in node["Labels"].items())
        return {**beside_the_driver(), "scheduling_strategy": lane._on(node["NodeID"])}

    lane.limiter_placement = placement
    module = pb.Gpt4VModule(
        question="Red?", field="is_red", answer="bool", budget_usd="1", rpm=RPM, actors=2, concurrency=CONCURRENCY
    )
    limits = dataclasses.replace(module.limits, window_s=WINDOW_S)
    print(json.dumps(lane.ask(Landing(out), module.settings, module.price, limits).as_dict()))


if __name__ == "__main__":
    main(*sys.argv[1:])

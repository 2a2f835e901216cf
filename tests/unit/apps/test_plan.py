"""What `pixelbrain plan` prints; docs/cluster.md shows the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pixelbrain.apps.plan import PlannedRun, describe, plan_run
from pixelbrain.config import Placement, RunConfig
from pixelbrain.engine.plan.make import make_plan
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.resnet import ResnetClassifierModule
from pixelbrain.stages.stages import Stages

PAGE = Path(__file__).parents[3] / "docs" / "cluster.md"
GB = 1e9
#: A head that runs no tasks, a node that decodes, and one with two cards.
NODES = [
    Node(cpus=0, memory_bytes=4 * GB, object_store_bytes=2 * GB),
    Node(cpus=8, memory_bytes=20 * GB, object_store_bytes=8 * GB),
    Node(cpus=4, gpus=2, memory_bytes=20 * GB, object_store_bytes=8 * GB),
]


def test_the_plan_of_the_page_is_a_true_one():
    needs = {module.name: module.resources for module in (ResnetClassifierModule(), FacenetEmbedderModule())}
    placement = Placement(gpus_per_actor=0.5, actors={"decode": "2"})
    run = PlannedRun(
        source="s3://bucket/in", listed=12_000, complete=True, left=12_000, ray="10.0.0.1:6379", nodes=NODES,
        autoscale=False, plan=make_plan(12_000, NODES, needs, placement), shortage=None,
    )  # fmt: skip
    block = "\n".join(f"    {line}".rstrip() for line in describe(run))
    print(block)
    assert block in PAGE.read_text(encoding="utf-8")
    more = dataclasses.replace(run, complete=False, passed_over={".mov": 3, "hidden file": 1})
    assert "passed over   3 .mov, 1 hidden file or more" in describe(more)


def test_little_work_is_planned_without_ray(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no cluster of this user
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for executor, where in (("local", "none is started"), ("ray", "a Ray of its own")):
        config = RunConfig(source=str(photo_folder), out=str(tmp_path / "out"), offline=True, executor=executor)
        found = plan_run(Stages(config))
        lines = describe(found)
        assert (found.executor, found.ray, found.left, found.shortage) == (executor, None, 7, None)
        assert any(line.startswith(f"Ray           {where}") for line in lines)
        assert any(line.startswith("object store") for line in lines) == (executor == "ray")
        json.dumps(dataclasses.asdict(found), allow_nan=False)

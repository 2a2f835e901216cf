"""What Prometheus and Grafana are given; whether the metrics exist, tests/integration/cluster asks a real run."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray._private import ray_constants

from pixelbrain.engine.cluster.metrics import METRICS

CLUSTER = Path(__file__).parents[3] / "cluster"
_BUILT_IN = {"__rate_interval"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((CLUSTER / "grafana-dashboard.json").read_text())


@pytest.fixture(scope="module")
def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_panels_have_names_of_their_own_and_room(dashboard, panels):
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 20
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not own & cells, panel["title"]
        cells |= own


def test_every_query_goes_to_the_chosen_prometheus_and_uses_variables_that_exist(dashboard, panels):
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "session", "run"}
    for panel in panels:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        assert len(panel["targets"]) > 0
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables | _BUILT_IN
            assert target["expr"].count("(") == target["expr"].count(")")


def test_all_that_is_told_is_shown_and_with_labels_that_it_has(panels):
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = set(re.findall(r"ray_(pixelbrain_[a-z_]+?)(?:_total)?\b", " ".join(expressions)))
    assert asked == set(METRICS)
    ours = {"run", *itertools.chain.from_iterable(labels for _, _, labels in METRICS.values())}
    rays = {"operator", "WorkerId", "NodeAddress", "RayNodeType"}
    for expression in expressions:
        for by in re.findall(r"by \(([^)]*)\)", expression):
            assert set(by.split(", ")) <= ours | rays


def test_prometheus_finds_the_list_of_nodes_that_the_head_keeps():
    config = yaml.safe_load((CLUSTER / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [f"/tmp/ray/{ray_constants.PROMETHEUS_SERVICE_DISCOVERY_FILE}"]}]

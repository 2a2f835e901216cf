"""What Ray keeps private: asked for in one file, there in this Ray, and named in a line where a Ray has changed it."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
import ray
import ray.data

import pixelbrain
from pixelbrain.engine import ray_private
from pixelbrain.errors import EngineError

PACKAGE = Path(pixelbrain.__file__).parent
EXECUTION_CALLBACK = "ray.data._internal.execution.execution_callback"


def changed(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Ray has a module of this name, and nothing in it."""
    monkeypatch.setitem(sys.modules, module, types.ModuleType(module))


def test_nobody_else_asks_for_it():
    asks = re.compile(r"\bray\.(\w+\.)*_(?!_version__)\w|\bray\.core\.generated|\b_do_request\b")
    found = {file.name for file in PACKAGE.rglob("*.py") if asks.search(file.read_text(encoding="utf-8"))}
    assert found == {"ray_private.py"}


def test_pyproject_admits_the_versions_that_were_seen():
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"ray[data,default]>={ray_private.SEEN[0]},<{ray_private.SEEN[1]}"' in project
    parts = tuple(int(part) for part in ray.__version__.split(".")[:2])
    assert (2, 60) <= parts < (2, 64)


@pytest.mark.parametrize(
    ("module", "ask"),
    [
        ("ray._private.services", ray_private.running_here),
        ("ray._private.authentication.authentication_token_setup", ray_private.show_token),
        ("ray._private.grpc_utils", lambda: ray_private.ask_version("127.0.0.1:1", timeout_s=0.1)),
        ("ray.core.generated.gcs_service_pb2", lambda: ray_private.ask_version("127.0.0.1:1", timeout_s=0.1)),
        ("ray._private.state", ray_private.actors_restarting),
        ("ray._private.accelerators", ray_private.gpus_here),
        ("ray._private.node", lambda: ray_private.bare_start(logs=True).__enter__()),
        (EXECUTION_CALLBACK, lambda: ray_private.between_steps(lambda: print, Feed(0))),
    ],
)
def test_a_ray_that_changed_it_is_an_error_of_one_line(monkeypatch, module, ask):
    changed(monkeypatch, module)
    with pytest.raises(EngineError, match=rf"Ray {ray.__version__} has no {module}\.\w+ any more.*pip install"):
        ask()


def test_a_job_client_that_cannot_be_told_to_give_up_is_refused(monkeypatch):
    fake = types.ModuleType("ray.job_submission")
    fake.JobSubmissionClient = object
    monkeypatch.setitem(sys.modules, "ray.job_submission", fake)
    with pytest.raises(EngineError, match="no JobSubmissionClient._do_request any more"):
        ray_private.job_client("http://127.0.0.1:1", {}, lambda method: (1, 1), EngineError)


def test_a_bare_start_follows_logs_only_where_they_are_shown(monkeypatch):
    from ray._private.node import Node

    helpers = {"start_api_server", "start_monitor", "start_log_monitor"}
    theirs = {name: getattr(Node, name) for name in helpers}
    for logs in (False, True):
        with ray_private.bare_start(logs=logs):
            left = {name for name in helpers if getattr(Node, name) is theirs[name]}
        assert left == ({"start_log_monitor"} if logs else set())
        assert {name: getattr(Node, name) for name in helpers} == theirs  # a notebook's own Ray has them
    monkeypatch.delattr(Node, "start_monitor")  # a Ray that calls it otherwise starts with it
    with ray_private.bare_start(logs=False):
        assert Node.start_api_server is not theirs["start_api_server"] and not hasattr(Node, "start_monitor")


class Feed:
    """Blocks, all there; remembers what it was asked for."""

    def __init__(self, count: int) -> None:
        self.left, self.asked = [pa.table({"block": [number]}) for number in range(count)], []

    @property
    def ended(self) -> bool:
        return not self.left

    def __call__(self, most: int, wait_s: float) -> list[pa.Table]:
        self.asked.append((most, wait_s > 0))
        taken, self.left = self.left[:most], self.left[most:]
        return taken


def executor() -> tuple[SimpleNamespace, SimpleNamespace]:
    """One whose dataset is made of no block, as Ray Data makes it, and the queue behind its source."""
    from ray.data._internal.execution.operators.input_data_buffer import InputDataBuffer

    source = InputDataBuffer(ray.data.DataContext.get_current(), [])
    queue = SimpleNamespace(num_blocks=0)
    return SimpleNamespace(_topology={source: SimpleNamespace(output_queue=queue)}), queue


def test_each_pass_has_a_look_of_its_own():
    made, looks = [], []

    def look():
        made.append(1)
        return lambda: looks.append(len(made))

    (callback,) = ray_private.between_steps(look, Feed(0))
    first, second = callback(), callback()
    for one in (first, second):
        one.before_execution_starts(executor()[0])
        one.on_execution_step(None)
    assert (len(made), len(looks)) == (2, 2)


class Counted:
    """A source whose blocks are another matter than where it is in them."""

    _input_data = ()


@pytest.mark.parametrize(
    "other", [{}, {"_topology": {Counted(): SimpleNamespace(output_queue=SimpleNamespace(num_blocks=0))}}]
)
def test_a_source_that_is_another_one_is_an_error_of_one_line(other):
    callback = ray_private.between_steps(lambda: print, Feed(0))[0]()
    with pytest.raises(EngineError, match=r"no ray\.data's StreamingExecutor\._topology any more"):
        callback.before_execution_starts(SimpleNamespace(**other))


def test_nobody_answers():
    with pytest.raises(EngineError, match=r"no Ray answers at 127\.0\.0\.1:1 \((UNAVAILABLE|DEADLINE_EXCEEDED)\)"):
        ray_private.ask_version("127.0.0.1:1", timeout_s=2)


def test_importing_it_imports_no_ray():
    code = "import sys, pixelbrain.engine.ray_private; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""A run without Ray, in real processes: images that kill theirs, errors, scripts, and what a parent leaves behind.

Those that a test only has die, or refuse, are forked; a script and an orphan have those that a user has.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cloudpickle
import psutil
import pyarrow as pa
import pytest

from pixelbrain.config import Placement
from pixelbrain.engine.extract import extract
from pixelbrain.engine.local.executor import _card, _make
from pixelbrain.engine.local.worker import Worker
from pixelbrain.engine.plan.pools import Pool
from pixelbrain.errors import EngineError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.exif import ExifModule
from tests.unit.engine.modules_for_tests import Deadly, Size

LOCAL = Placement(executor="local")


def rows_of(out: Path) -> dict[str, dict]:
    """By the file's name."""
    rows = [row for table in Landing(out).iter_images() for row in table.to_pylist()]
    assert len(rows) == len({row["image_id"] for row in rows})
    return {row["image_id"].rsplit("/", 1)[1]: row for row in rows}


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "pixelbrain-worker" in process.cmdline()
    except psutil.NoSuchProcess:  # another test's, which nobody has waited for
        return False


@pytest.mark.usefixtures("forked")
def test_images_that_kill_their_worker_are_failed_rows(tmp_path, encode):
    """Two workers, and three deaths an image: after the second one over a block, each of its images is tried alone."""
    deadly = (5, 15)  # in two blocks
    (tmp_path / "photos").mkdir()
    for index in range(20):
        size = (77, 9) if index in deadly else (8, 8 + index)
        (tmp_path / "photos" / f"{index:02d}.png").write_bytes(encode("PNG", size=size))
    told: list[tuple[int, int, int]] = []
    report = extract(
        DataLoader(str(tmp_path / "photos")),
        [Deadly("SIGKILL")],
        tmp_path / "out",
        placement=Placement(executor="local", actors={"images": "2"}),
        progress=lambda *where: told.append(where),
    )
    assert (report.listed, report.done, report.failed) == (20, 20, 2)
    assert dict(report.failures) == {"WorkerCrashError": 2} and told[-1] == (20, 20, 2)
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 20
    failed = {name: row["error"] for name, row in rows.items() if row["status"] == "failed"}
    assert failed.keys() == {"05.png", "15.png"}
    assert all("died three times: SIGKILL" in why for why in failed.values())
    assert all(row["size"]["pixels"] == 8 * (8 + i) for i, row in enumerate(rows.values()) if i not in deadly)
    assert [child for child in psutil.Process().children() if _is_worker(child)] == []


class Unready(Size):
    """Has no model to load."""

    def setup(self, device: str) -> None:
        raise OSError("no such\nmodel")


class Dying(PipelineModule):
    """Dies of any image, and of none as well."""

    name = "dying"

    def fields(self):
        return [pa.field("nothing", pa.int64())]

    def setup(self, device: str) -> None:
        os._exit(9)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Unready(), r"the workers failed: OSError: no such model \(--debug shows all of it\)"),
        (Dying(), "the models cannot be loaded into a process of their own: exit code 9"),
    ],
    ids=["raises", "dies"],
)
def test_a_module_that_cannot_be_made_ready_ends_the_run_in_a_line(photo_folder, tmp_path, module, said):
    with pytest.raises(EngineError, match=f"^{said}$"):
        extract(DataLoader(str(photo_folder)), [module], tmp_path / "out", placement=LOCAL)
    assert not Landing(tmp_path / "out").exists()


@pytest.mark.usefixtures("forked")
def test_a_worker_that_dies_again_and_again_is_given_up():
    """Of no image: those are tried alone before."""
    worker = Worker(make=cloudpickle.dumps(lambda wary: os._exit(3)), environment=os.environ, debug=False)
    worker.take(pa.table({}))
    with pytest.raises(EngineError, match="a worker died 5 times over the same images"):
        while worker.result() is None:
            assert worker.in_hand == 1


SCRIPT = """
import os, sys
import pyarrow as pa
import pixelbrain as pb

class Mine(pb.PipelineModule):
    name = "mine"
    def fields(self):
        return [pa.field("ray", pa.bool_()), pa.field("torch", pa.bool_()), pa.field("process", pa.int64())]
    def process(self, image):
        return {"ray": "ray" in sys.modules, "torch": "torch" in sys.modules, "process": os.getpid()}

report = pb.Pipeline(pb.DataLoader("photos"), [Mine()]).extract("out")
row = next(pb.Landing("out").iter_images())["mine"][0].as_py()
assert report.done == 7 and row["process"] != os.getpid(), (report, row)
print(row["ray"] or "ray" in sys.modules, row["torch"])
"""


def test_a_script_without_a_guard_runs_small_work_without_ray(photo_folder):
    """Nothing of Ray is imported, here or there; the module is the script's own, and the script is not run again."""
    (photo_folder.parent / "script.py").write_text(SCRIPT)
    around = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=photo_folder.parent, env=around, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False False\n"


def test_a_worker_does_not_outlive_its_parent():
    """SIGKILL of the parent, with work in hand."""
    program = """
import os, time
import cloudpickle
from pixelbrain.engine.local.worker import Worker
worker = Worker(make=cloudpickle.dumps(lambda wary: time.sleep), environment=os.environ, debug=False)
worker.take(60)
print(worker._process.pid, flush=True)
worker.pipe.poll(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs([child], timeout=60)[1] == []


def test_each_worker_sees_the_cards_that_the_plan_gave_it(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def seen(gpus: float) -> list[str]:
        pool = Pool(name="images", min_actors=4, max_actors=4, cpus=1, gpus=gpus)
        return [_card(pool, number).get("CUDA_VISIBLE_DEVICES", "all") for number in range(4)]

    assert seen(0) == ["all"] * 4
    assert seen(1) == ["0", "1", "2", "3"]
    assert seen(0.5) == ["0", "0", "1", "1"]
    assert seen(2) == ["0,1", "2,3", "4,5", "6,7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-b")
    assert seen(0.5) == ["3", "3", "GPU-b", "GPU-b"]


@pytest.mark.parametrize(("modules", "spared"), [([ExifModule()], 1), ([ExifModule(), Size()], 0)])
def test_where_modules_of_ones_own_run_pyarrow_knows_pandas(modules, spared, monkeypatch):
    calls: list[None] = []
    monkeypatch.setattr("pixelbrain.engine.local.executor.spare_pandas", lambda: calls.append(None))
    monkeypatch.setattr("pixelbrain.engine.local.executor.ImageWorker", lambda *_, **__: None)
    _make(modules, order=None, wary=False)
    assert len(calls) == spared

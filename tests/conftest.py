"""What all tests share: photos from an installed package, and photos made here."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelbrain.engine.cluster.session import RAY_ENVIRONMENT

os.environ.setdefault("RAY_DATA_PARQUET_FOOTER_NUM_ACTORS", "1")  # of the few files that tests have
for name, value in RAY_ENVIRONMENT.items():  # read when ray or torch is imported, which tests do before the engine
    os.environ.setdefault(name, value)
# read when torch is imported, and by BLAS in the workers: the threads of several processes wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")


#: What is started once for all tests that want it, by fixture: these stay in one worker.
SHARED = ("ray_running", "local_cluster", "mongod", "nodes", "browser")
#: The groups that take longest, in the order in which they begin.
CHAINS = ("ray_running", "nodes", "local_cluster", "test_people", "browser", "test_demo", "test_readme", "mongod")
LONGEST_NAME = 100
WORKERS = 4  # on two cores: with three, a fifth of their time was nobody's
#: What takes longest to compile, a share a worker: all import all of it while they collect, and each would compile
#: what the others are compiling at the same time, where now two find it done.
SHARES = (("torch",), ("ray.data", "sklearn.cluster"), ("chromadb", "openai", "moto.server"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for named files: a worker takes longer to start than most of them to run."""
    return 0 if any(".py" in argument for argument in config.args) else WORKERS


def pytest_configure(config: pytest.Config) -> None:
    """What all processes of the tests are told by their environment, the workers first of all."""
    os.fsync = lambda _file: None  # no test cuts the power; a process that is killed leaves what it wrote without it
    gc.disable()  # until all is collected: modules and tests stay, and looking for waste takes as long as importing
    if hasattr(config, "workerinput"):
        for name in SHARES[int(config.workerinput["workerid"].removeprefix("gw")) % len(SHARES)]:
            importlib.import_module(name)
        return
    if sys.dont_write_bytecode and config.pluginmanager.hasplugin("cacheprovider"):
        # Where Python is told to write no bytecode, as in many containers, it has a folder of pytest's own, which the
        # next tests find. Each of the hundreds of processes, Ray's workers most of all, would compile everything that
        # it imports: 3 s instead of 1 for Ray Data alone.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """From here on there is waste; what is there now is none, and is not looked through again."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """What Python does not look through when it ends, triton reports as leaked."""
    gc.unfreeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A long text is not part of a test's name: of one of 17 MB each worker sends the names to be compared."""
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_NAME else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file stay together, and so do all that share a server; the longest chains come first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: CHAINS.index(_group(item)) if _group(item) in CHAINS else len(CHAINS))


def _group(item: pytest.Item) -> str:
    return next((name for name in SHARED if name in item.fixturenames), item.path.stem)


@pytest.fixture(scope="session")
def skimage_photos() -> Path:
    """The sample photos in scikit-image's wheel: astronaut.png (one face), chelsea.png (a cat), and others."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a small gradient, or a given array, as an image file's bytes."""

    def make(
        image_format: str = "JPEG", size: tuple[int, int] = (64, 48), *, array: np.ndarray | None = None, **save
    ) -> bytes:
        if array is None:
            x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
            array = np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, image_format, **save)
        return buffer.getvalue()

    return make


@pytest.fixture
def photo_folder(tmp_path: Path, encode: Callable[..., bytes]) -> Path:
    """Five good images in two folders, one broken, one empty, and a text file that is no image."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(encode(size=(60 + index, 40)))
    (folder / "b" / "four.PNG").write_bytes(encode("PNG"))
    (folder / "b" / "five ü #1.webp").write_bytes(encode("WEBP"))
    (folder / "broken.jpg").write_bytes(encode()[:200])
    (folder / "empty.jpeg").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Where everything can be installed, as in CI, a skipped test is a failed one; private photos can't be."""
    report = yield
    if report.skipped and os.environ.get("PIXELBRAIN_REQUIRE_ALL") and "shared/data" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped, but PIXELBRAIN_REQUIRE_ALL is set: {report.longrepr}"
    return report

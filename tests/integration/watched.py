"""A module of a user's that writes down what it sees, for tests that count what is done once and what twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.plain_run import PlainRun
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent

SOURCE = """
import ctypes
import os
import time

import pyarrow as pa

from pixelbrain import PipelineModule, Resources


class Watched(PipelineModule):
    name = "watched"
    resources = Resources(batch_size=4)

    def fields(self):
        return [pa.field("pixels", pa.int64())]

    def process(self, image):
        with open({log!r}, "a") as log:
            log.write(f"{{os.getpid()}} {{image.image_id}}\\n")
        if os.path.exists({slow!r}):
            time.sleep({seconds})
        if image.width == 77:
            ctypes.string_at(0)  # a true one: a signal that is sent leaves this thread some time
        return {{"pixels": image.width * image.height}}
"""


class World:
    """A folder with photos, the module that looks at them, and an OUT.

    Args:
        folder: an empty one.
        seconds: that a look takes, until the test says `hurry`.
    """

    def __init__(self, folder: Path, *, seconds: float) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.log = folder / "log"
        self._slow = folder / "slow"
        self.photos.mkdir()
        self.log.touch()
        self._slow.touch()
        (folder / "watched.py").write_text(SOURCE.format(log=str(self.log), slow=str(self._slow), seconds=seconds))

    @property
    def arguments(self) -> list[str]:
        """Of the command that does it all."""
        return ["extract", str(self.photos), "--out", str(self.out), "--module", "watched:Watched"]

    def start(self, *more: str, address: str | None = None, **options: Any) -> subprocess.Popen:
        """The command as a process of its own, which a test may kill."""
        joined = {"RAY_ADDRESS": address} if address else {}
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "pixelbrain"), *self.arguments, *more],
            cwd=self.folder, env={**os.environ, **joined}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def start_plain(self) -> PlainRun:
        """The same work in one process without Ray."""
        return PlainRun(self.folder)

    @staticmethod
    def interrupt(process: subprocess.Popen) -> str:
        """Ctrl-C as in a terminal: the signal goes to the whole group. Returns what the command says to its end."""
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "the same command does the rest" in said and "Traceback" not in said
        return said

    def hurry(self) -> None:
        """From now on a look takes no time."""
        self._slow.unlink()

    def seen(self) -> list[tuple[int, str]]:
        """(process id, image_id) of every look at an image."""
        lines = self.log.read_text().splitlines()
        lines = [line for line in lines if line.count(" ") == 1]  # not one that is just being written
        return [(int(pid), image_id) for pid, image_id in (line.split(" ", 1) for line in lines)]

    def looks(self) -> Counter[str]:
        """How often each image was looked at."""
        return Counter(image_id for _, image_id in self.seen())

    def wait_for_looks(self, count: int, process: subprocess.Popen | PlainRun, limit_s: float = 150) -> None:
        """Until so many more lines are in the log, or the process has ended."""
        wanted = len(self.seen()) + count
        wait_for(lambda: len(self.seen()) >= wanted or process.poll() is not None, limit_s)

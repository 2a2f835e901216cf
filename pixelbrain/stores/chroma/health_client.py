"""Ask a fresh process what it finds in a folder of ChromaDB; one that crashes on it is a finding, too."""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelbrain.errors import StoreError
from pixelbrain.stores.chroma.health import Finding, Sample

__all__ = ["look", "warm_up"]

logger = logging.getLogger(__name__)

#: Seconds for a look at an empty collection, and what each vector adds: a large index is read from disk first.
_LIMIT_S, _VECTORS_A_SECOND = 120, 2_000
_NOT_DAMAGE = ("SIGKILL", "SIGTERM", "SIGINT")  # somebody's doing, or the system's when memory runs out


def warm_up() -> None:
    """Start the process that looks, which takes 2 s to import chromadb, beside what this one does meanwhile."""
    with _guard:
        _running()


def look(folder: Path, samples: Mapping[str, Sample]) -> dict[str, Finding]:
    """What a fresh process finds wrong with collections. Nobody writes the folder meanwhile.

    Args:
        folder: of ChromaDB; it is there.
        samples: by the collection's name, what it should hold.

    Returns:
        By the collection's name, what is wrong; nothing of those that are sound.

    Raises:
        StoreError: the process cannot be started, was killed, or cannot read the folder for another reason than damage.
    """
    limit_s = _LIMIT_S + sum(sample.count or 0 for sample in samples.values()) // _VECTORS_A_SECOND
    request = {
        "folder": str(folder),
        "file": not any(len(sample.ids) for sample in samples.values()),  # before a load; after it, rows are read back
        "samples": {name: _as_json(sample) for name, sample in samples.items()},
        "limit_s": limit_s,
    }
    with _guard:
        for _attempt in range(2):  # it may just have ended, idle
            looker = _running()
            answer = looker.ask(request)
            if answer is not None:
                break
        else:
            raise StoreError(f"the process that looks at ChromaDB in {folder} does not answer: {looker.last_words}")
    if "error" in answer:
        raise StoreError(answer["error"])
    ended = answer.get("ended")
    if ended is None:
        return {name: Finding(**finding) for name, finding in answer["findings"].items()}
    if ended in _NOT_DAMAGE:
        raise StoreError(
            f"the process that looked at ChromaDB in {folder} was killed ({ended}), by a lack of memory perhaps: the "
            "same command goes on"
        )
    if len(samples) > 1:  # which of them was it?
        return {n: finding for name, sample in samples.items() for n, finding in look(folder, {name: sample}).items()}
    crashed = f"does not end within {limit_s} s" if ended == "SIGALRM" else f"crashes a process ({ended})"
    return {name: Finding(kind="index", reason=f"reading it {crashed}") for name in samples}


def _as_json(sample: Sample) -> dict[str, Any]:
    vectors = np.ascontiguousarray(sample.vectors, np.float32)
    return {
        "count": sample.count,
        "ids": list(sample.ids),
        "vectors": base64.b64encode(vectors.tobytes()).decode(),
    }


class _Looker:
    """The process `python -m pixelbrain.stores.chroma.health_process`."""

    def __init__(self) -> None:
        self.last_words = "nothing"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed in end())
        package = Path(__file__).resolve().parents[3]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH")))),
            "OPENBLAS_NUM_THREADS": "1",  # no threads of numpy's in a process that forks
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pixelbrain.stores.chroma.health_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError as error:
            self._said.close()
            raise StoreError(f"cannot start {sys.executable}: {error.strerror or error}") from None

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Its answer; None when it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:  # a broken pipe
            line = b""
        if line:
            return json.loads(line)
        self.end()
        return None

    def end(self) -> None:
        """Let it end, and forget it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        if not self._said.closed:
            self._said.seek(0)
            self.last_words = " ".join(self._said.read()[-500:].decode(errors="replace").split()) or "nothing"
            self._said.close()


_guard = threading.RLock()
# The process id is part of the key: a forked child inherits this dict, and may not talk to its parent's helper.
_lookers: dict[int, _Looker] = {}


def _running() -> _Looker:
    looker = _lookers.get(os.getpid())
    if looker is None or not looker.alive():
        if looker is not None:
            looker.end()
        looker = _lookers[os.getpid()] = _Looker()
    return looker


@atexit.register
def _end_all() -> None:
    with _guard:
        looker = _lookers.pop(os.getpid(), None)
        if looker is not None:
            looker.end()

"""`python -m pixelbrain.stores.chroma.health_process`: looks at folders of ChromaDB, and survives what it finds.

A damaged index may crash who reads it. One request a line comes in, one answer a line goes out, both JSON; each is
answered by a fork of this process, which has imported chromadb (2 s) and opened nothing. It ends with its input, or
when nobody asked for a while. See `fresh` for who asks.
"""

from __future__ import annotations

import base64
import ctypes
import dataclasses
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main"]

_IDLE_LIMIT_S = 30.0
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> None:
    """Answer requests until there are none."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what native code prints is no answer
    import chromadb  # noqa: F401  (for the forks)

    while select.select([0], [], [], _IDLE_LIMIT_S)[0] and (line := sys.stdin.buffer.readline()):
        print(json.dumps(_in_a_fork(json.loads(line))), file=answers, flush=True)


def _in_a_fork(request: dict[str, Any]) -> dict[str, Any]:
    """The answer, or how the process that looked for it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(request["limit_s"])  # ends the process also inside native code
            _end_with_parent()
            os.close(reading)
            os.write(writing, json.dumps(_look(request)).encode())
            os._exit(0)
        finally:  # an exception ends it too, and never gets back into the loop of its parent
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"ended": signal.Signals(os.WTERMSIG(status)).name}
    return json.loads(said) if said else {"ended": f"exit code {os.waitstatus_to_exitcode(status)}"}


def _end_with_parent() -> None:
    """A killed parent's successor may write the folder at once: nobody of ours may have it open then (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _look(request: dict[str, Any]) -> dict[str, Any]:
    from chromadb.errors import ChromaError

    from pixelbrain.errors import StoreError
    from pixelbrain.stores.chroma.client import open_folder
    from pixelbrain.stores.chroma.health import Finding, Sample, is_damage, probe, probe_file

    folder = Path(request["folder"])
    samples = {name: Sample(**{**told, "vectors": _vectors(told)}) for name, told in request["samples"].items()}
    try:
        problem = probe_file(folder) if request["file"] else None
        if problem is None:
            try:
                client = open_folder(folder)
            except ChromaError as error:
                if not is_damage(str(error)):
                    return {"error": f"ChromaDB in {folder} cannot be read: {error}"}
                problem = Finding(kind="folder", reason=str(error))
        found = {name: problem or probe(client, name, sample) for name, sample in samples.items()}
    except StoreError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"cannot use {folder} for ChromaDB: {error.strerror or error}"}
    return {"findings": {name: dataclasses.asdict(finding) for name, finding in found.items() if finding}}


def _vectors(told: dict[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(told["vectors"]), np.float32)
    return flat.reshape(len(told["ids"]), -1) if told["ids"] else flat.reshape(0, 0)


if __name__ == "__main__":
    main()

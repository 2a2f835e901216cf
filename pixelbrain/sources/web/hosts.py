"""So many requests to a host at a time, of all processes of this machine: hosts lock out who asks for more."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pixelbrain.storage.s3_errors import AnswerError

#: The variable that says how many, and how many if it does not.
PER_HOST_VARIABLE = "PIXELBRAIN_REQUESTS_PER_HOST"
_PER_HOST = 8

_POLL_S = 0.02
_PATIENCE_S = 300.0  # as long as reading an image may take


def per_host() -> int:
    """How many requests may be on their way to a host."""
    value = os.environ.get(PER_HOST_VARIABLE, "")
    return max(1, int(value)) if value.isdecimal() else _PER_HOST


@contextlib.contextmanager
def host_slot(host: str) -> Iterator[None]:
    """One of a host's slots, as long as this lasts; the system gives back those of a process that is killed.

    Raises `AnswerError`: none became free in 5 minutes.
    """
    many = per_host()
    deadline = time.monotonic() + _PATIENCE_S
    turn = _turns(host, many)  # of this process, so that few threads look for a file
    if not turn.acquire(timeout=_PATIENCE_S):
        raise AnswerError(f"other requests to {host} did not end", transient=True)
    try:
        with _file_slot(host, many, deadline):
            yield
    finally:
        turn.release()


@functools.lru_cache(1024)
def _turns(host: str, many: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(many)


@contextlib.contextmanager
def _file_slot(host: str, many: int, deadline: float) -> Iterator[None]:
    folder = Path(tempfile.gettempdir()) / f"pixelbrain-hosts-{os.getuid()}"
    name = hashlib.sha256(host.encode()).hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # no such folder can be had: the limit is that of each process then
        yield
        return
    while True:
        for slot in range(many):
            with contextlib.ExitStack() as stack:
                file = os.open(folder / f"{name}-{slot}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, file)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                yield
                return
        if time.monotonic() > deadline:
            raise AnswerError(f"other requests to {host} did not end", transient=True)
        time.sleep(_POLL_S)

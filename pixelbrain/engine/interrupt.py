"""Ctrl-C in two steps: the first asks the run to land what is in flight and to end, the second ends it at once."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import psutil

#: From the first Ctrl-C on, what is in flight has so long to land.
GRACE_S = 20.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def answer(what: str) -> None:
    """Tell who pressed Ctrl-C at once what is still being done; on a terminal, in place of a line of progress."""
    clear = "\r\x1b[2K" if sys.stderr.isatty() else ""
    print(f"{clear}Stopping: {what}; once more stops now.", file=sys.stderr, flush=True)


@contextlib.contextmanager
def heeded() -> Iterator[Callable[[], None]]:
    """Inside it, call what is given now and then: it raises the `KeyboardInterrupt` of a Ctrl-C that nobody heard.

    Python drops one that comes while a finalizer runs, of which Ray has many, and a loop would go on without end.
    """
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def look() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield look
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


class Interrupt:
    """While it is entered, SIGINT and SIGTERM call `ask` once; the next one ends the process with exit code 130.

    What is still not done 20 s after the first is given up: a `KeyboardInterrupt` in the main thread. Signals reach a
    process's main thread alone: entered in another one, it changes nothing.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._before: dict[int, Any] = {}
        self._patience: threading.Timer | None = None
        self._overdue = False
        self.requested = False  # whether a signal came

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        if self._patience is not None:
            self._patience.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._overdue:
            raise KeyboardInterrupt
        if self.requested:
            # straight out: Ray's own ending takes seconds; without it, some of its processes would stay for minutes
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            os.write(sys.stderr.fileno(), b"\nStopped at once. What has landed stays.\n\x1b[?25h")
            os._exit(130)
        self.requested = True
        threading.Thread(target=self._stop, name="pixelbrain-stop", daemon=True).start()
        self._patience = threading.Timer(GRACE_S, self._give_up)
        self._patience.daemon = True
        self._patience.start()

    def _stop(self) -> None:
        """Answer, and ask: not inside a signal handler, which may have interrupted a write."""
        try:
            answer("landing what is in flight")
        finally:  # also where nobody can be answered any more
            self._ask()

    def _give_up(self) -> None:
        self._overdue = True
        _thread.interrupt_main(signal.SIGINT)

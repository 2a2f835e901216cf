"""A worker's process: blocks come through a pipe, and summaries go back; when it closes, the process ends."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from pixelbrain.engine.work.fused import CALLS
from pixelbrain.errors import PixelbrainError


def serve(descriptor: int, debug: bool) -> None:
    """Make what the first two messages say, and call it with the block of each of the others, two at a time.

    What goes back is (the block's number, summary, None), or (None, None, why) where an error was raised; the parent
    ends the process then.
    """
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(message)s")
    pipe = Connection(descriptor)
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    sending = threading.Lock()
    threading.Thread(target=_receive, args=(pipe, received), name="pixelbrain-pipe", daemon=True).start()

    def answer(number: int | None, summary: Any, why: str | None) -> None:
        with sending:
            pipe.send((number, summary, why))

    def work(worker: Callable[[Any], Any] | None = None) -> None:
        try:
            if worker is None:
                worker = pickle.loads(received.get())(wary=pickle.loads(received.get()))
                for _ in range(CALLS - 1):
                    threading.Thread(target=work, args=(worker,), name="pixelbrain-work", daemon=True).start()
            while True:
                number, block = pickle.loads(received.get())
                answer(number, worker(block), None)
        except BaseException as error:  # whatever it is, somebody waits for the answer
            traceback.print_exc()
            answer(None, None, _reason(error))
            threading.Event().wait()  # for the end, which comes through the pipe

    work()


def _receive(pipe: Connection, received: queue.SimpleQueue[Any]) -> None:
    """All that comes; and where the parent is gone or wants no more, the end of this session, whatever is in hand."""
    try:
        while True:
            received.put(pipe.recv_bytes())
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)


def _reason(error: BaseException) -> str:
    """In a line: ours as it is."""
    if isinstance(error, PixelbrainError):
        return str(error)
    said = " ".join(str(error).split())
    return f"the workers failed: {type(error).__name__}: {said} (--debug shows all of it)"

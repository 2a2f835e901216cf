"""Work beside the pages, in a thread of its own: how far it is, and how it went wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pixelbrain.errors import OutLockedError, PixelbrainError

logger = logging.getLogger(__name__)


class Beside:
    """One piece of work at a time, of one kind. Safe to share between threads.

    Args:
        name: of the thread.
        failed: what is said of an error that nobody foresaw.
    """

    def __init__(self, name: str, failed: str) -> None:
        self._name, self._failed, self._lock = name, failed, threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self.what, self.done, self.total = "", 0, 0
        self.error: PixelbrainError | None = None  # of the last one

    def start(self, work: Callable[[Callable[[int, int], None]], object], what: str = "") -> bool:
        """Begin; False: one is at work already.

        Args:
            work: is given whom to tell how much is done, of how much.
            what: what it is about, for pages.
        """
        with self._lock:
            if self.busy:
                return False
            self.what, self.done, self.total, self.error = what, 0, 0, None
            self._began = time.monotonic()
            thread = threading.Thread(target=self._run, args=(work,), name=f"pixelbrain-{self._name}", daemon=True)
            thread.start()
            self._thread = thread
            return True

    @property
    def busy(self) -> bool:
        """Whether it is at work now."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def seconds(self) -> int:
        """For how long."""
        return int(time.monotonic() - self._began)

    @property
    def wrong(self) -> str:
        """Why the last one did not work, for pages; "": it did, or none was yet."""
        if self.error is None:
            return ""
        if isinstance(self.error, OutLockedError):
            return f"Something else is at work here: {self.error}. Try again then."
        return f"{self.error}."

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until it is done, so long at most."""
        if (thread := self._thread) is not None:
            thread.join(timeout_s)

    def _run(self, work: Callable[[Callable[[int, int], None]], object]) -> None:
        try:
            work(self._tell)
        except PixelbrainError as error:
            logger.warning("%s", error)
            self.error = error
        except Exception:  # else pages would wait for ever
            logger.exception("%s", self._failed)
            self.error = PixelbrainError(f"{self._failed}; the terminal says why")

    def _tell(self, done: int, total: int) -> None:
        self.done, self.total = done, total

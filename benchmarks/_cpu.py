"""CPU seconds of a process and of all that it starts, those that end meanwhile included."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

__all__ = ["CpuWatch"]


class CpuWatch:
    """Looks at them again and again while it is entered, as Linux forgets what one took whose parent does not ask.

    Ray does not. What a process takes between the last look and its end is not counted.

    Args:
        root: the process.
        but: one below it that does not count, as a server that is no part of what is measured.
        every_s: a look costs 10 ms.
    """

    def __init__(self, root: int, *, but: int | None = None, every_s: float = 0.5) -> None:
        self._root, self._but, self._every_s = root, but, every_s
        self._known: dict[tuple[int, float], psutil.Process] = {}
        self._spent: dict[tuple[int, float], float] = {}
        self._looking, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cpu", daemon=True)

    def __enter__(self) -> CpuWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def seconds(self) -> float:
        """Since each of them began."""
        with self._looking:
            self._look()
            return sum(self._spent.values())

    def _watch(self) -> None:
        while not self._ended.wait(self._every_s):
            self.seconds()

    def _look(self) -> None:
        try:  # those that were handed on to another parent stay known
            tree = [root := psutil.Process(self._root), *root.children(recursive=True)]
            self._known |= {(one.pid, one.create_time()): one for one in tree if one.pid != self._but}
        except psutil.Error:
            pass
        for key, one in list(self._known.items()):
            try:
                times = one.cpu_times()
                self._spent[key] = times.user + times.system
            except psutil.Error:
                del self._known[key]

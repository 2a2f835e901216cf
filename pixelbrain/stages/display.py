"""What the terminal shows: one progress line a stage, then one line that says what it did.

Where nobody looks, as in a job's log, the progress is a plain line now and then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

logger = logging.getLogger(__name__)

_FIRST_LINE_S = 10.0
_LINES_APART_S = 300.0  # at most; until then, each wait is twice the one before
_LOOK_S = 1.0


class PlainProgress:
    """A stage's progress as lines of text, due after 10 s and then at growing intervals, up to 5 minutes.

    Args:
        name: of the stage.
        unit: of what is counted.
        clock: the time in seconds.
    """

    def __init__(self, name: str, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._unit, self._clock = name, unit, clock
        self._state = (0, 0, 0)  # done, total, failed
        self._first: tuple[float, int] | None = None  # when the first units were done, and how many
        self._began_s = clock()
        self._interval_s = _FIRST_LINE_S
        self._next_s = self._began_s + _FIRST_LINE_S

    def tell(self, done: int, total: int | None, failed: int = 0) -> None:
        """So many of so many are done; None: nobody knows of how many."""
        if self._first is None and done:
            self._first = (self._clock(), done)
        self._state = (done, total or 0, failed)

    def due(self) -> str | None:
        """The line to show now, if one is due."""
        now = self._clock()
        if now < self._next_s:
            return None
        self._interval_s = min(2 * self._interval_s, _LINES_APART_S)
        self._next_s = now + self._interval_s
        done, total, failed = self._state
        if not total:  # it does not count, or has nothing to count yet
            return f"{self._name:<9} at work for {_duration(now - self._began_s)}"
        parts = [f"{done:,} of {total:,} {self._unit}"]
        if (rate := self.rate()) is None:
            parts.append("starting")
        else:
            parts.append(f"{rate:,.1f}/s")
            if failed:
                parts.append(f"{failed:,} failed")
            if total > done:
                parts.append(f"about {_duration((total - done) / rate)} left")
        return f"{self._name:<9} {', '.join(parts)}"

    def rate(self) -> float | None:
        """Units a second since the first one was done: starting up does not count. None: too early to say."""
        done = self._state[0]
        if self._first is None or done <= self._first[1]:
            return None
        return (done - self._first[1]) / max(self._clock() - self._first[0], 1e-6)


class _Rate(ProgressColumn):
    """How fast it goes on."""

    def render(self, task: Task) -> Text:
        rate = task.fields["pace"].rate()
        return Text("starting", style="dim") if rate is None else Text(f"{rate:,.1f}/s", style="cyan")


def _duration(seconds: float) -> str:
    """To one unit, as an estimate is no better."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


class Display:
    """Shows stages on standard error: a bar where someone looks at it, lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "images") -> Iterator[Callable[..., None]]:
        """A stage's progress: the callback takes (done, total) or (done, total, failed)."""
        if self.quiet:
            yield lambda done, total, failed=0: None
            return
        pace = PlainProgress(name, unit)
        if not self.console.is_terminal:
            with self._lines(pace):
                yield pace.tell
            return
        progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.fields[of]} {task.fields[unit]}"),
            _Rate(),
            TextColumn("{task.fields[failures]}", style="yellow"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        task = progress.add_task(name, total=None, unit=unit, failures="", pace=pace, of="?")

        def tell(done: int, total: int | None, failed: int = 0) -> None:
            pace.tell(done, total, failed)
            failures = f"{failed:,} failed" if failed else ""
            progress.update(task, completed=done, total=total or 0, failures=failures, of=f"{total or 0:,}")

        with progress:
            yield tell

    @contextlib.contextmanager
    def _lines(self, progress: PlainProgress) -> Iterator[None]:
        """Show what is due from a thread: a stage that gets nothing done is silent itself, and should be seen."""
        ended = threading.Event()

        def show() -> None:
            while not ended.wait(_LOOK_S):
                if text := progress.due():
                    self.line(text)

        thread = threading.Thread(target=show, name="pixelbrain-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def line(self, text: str) -> None:
        """A line for people to read."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A line that is shown even when quiet."""
        self.console.print(text, style="yellow", markup=False)


class LogDisplay(Display):
    """Says in the log what a display would show, where a library is used, which prints nothing."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def line(self, text: str) -> None:
        logger.info(text.strip())

    def warn(self, text: str) -> None:
        logger.warning(text.strip())

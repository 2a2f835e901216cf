"""What people see: one line of progress a stage, then one line that says what it did.

A terminal and a notebook have it in one place, with a bar where there is room. Where nobody looks, as in a job's log,
it is a plain line now and then, of the same words.
"""

from __future__ import annotations

import contextlib
import logging
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

logger = logging.getLogger(__name__)

_FIRST_LINE_S = 10.0
_LINES_APART_S = 300.0  # at most; until then, each wait is twice the one before
_LOOK_S = 1.0
_LONG_WAIT_S = 20.0
_SECONDS_MATTER_S = 600.0
_NAME_WIDTH = 9  # of a stage, at the beginning of every line
_BAR_WIDTH, _LEAST_BAR_WIDTH = 24, 6


class PlainProgress:
    """A stage's progress as lines of text, due after 10 s and then at growing intervals, up to 5 minutes.

    Args:
        name: of the stage.
        unit: of what is counted.
        clock: the time in seconds.
    """

    def __init__(self, name: str, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.label = f"{name:<{_NAME_WIDTH}}"
        self._unit, self._clock = unit, clock
        self._state = (0, 0, 0)  # done, total, failed
        self._waits: tuple[float, str] | None = None  # until when, and for what
        self._first: tuple[float, int] | None = None  # when the first units were done, and how many
        self._began_s = clock()
        self._interval_s = _FIRST_LINE_S
        self._next_s = self._began_s + _FIRST_LINE_S

    def __call__(self, done: int, total: int | None, failed: int = 0) -> None:
        """So many of so many are done; None: nobody knows of how many."""
        if self._first is None and done:
            self._first = (self._clock(), done)
        self._state, self._waits = (done, total or 0, failed), None

    def waits(self, seconds: float, what: str) -> None:
        """Nothing goes on for so long; a long wait that is new is shown at once."""
        new = self._waits is None or self._waits[1] != what
        self._waits = (self._clock() + seconds, what)
        if new and seconds >= _LONG_WAIT_S:
            self._next_s = min(self._next_s, self._clock())

    def due(self) -> str | None:
        """The line to show now, if one is due."""
        now = self._clock()
        if now < self._next_s:
            return None
        self._interval_s = min(2 * self._interval_s, _LINES_APART_S)
        self._next_s = now + self._interval_s
        return f"{self.label} {self.text()}"

    def text(self, width: int | None = None) -> str:
        """How far it is, after which time, how fast, and how long it may still take; at best in so many characters."""
        done, total, failed = self._state
        so_far = duration(self._clock() - self._began_s)
        waiting = self._waiting()
        if not total and waiting is None:  # it does not count, or has nothing to count yet
            return f"at work for {so_far}"
        rate = self.rate()
        pace = "starting" if rate is None else f"{rate:,.1f}/s"
        counted = f"{done:,} of {total:,} {self._unit} after {so_far}" if total else f"at work for {so_far}"
        if waiting is not None:
            return f"{counted}, {waiting}"
        parts = [counted, pace]
        if failed:
            parts.append(f"{failed:,} failed")
        if rate is not None and total > done:
            parts.append(f"about {duration((total - done) / rate)} left")
        if width is not None and len(", ".join(parts)) > width:
            parts.remove(pace)
        return ", ".join(parts)

    def _waiting(self) -> str | None:
        left = 0.0 if self._waits is None else self._waits[0] - self._clock()
        if self._waits is None or left <= 0:
            return None
        until = time.strftime("%H:%M:%S" if left < _SECONDS_MATTER_S else "%H:%M", time.localtime(time.time() + left))
        return f"waits until {until} (for {duration(left)}): {self._waits[1]}"

    @property
    def state(self) -> tuple[int, int, int]:
        """Done, of how many (0: nobody knows), and failed."""
        return self._state

    def rate(self) -> float | None:
        """Units a second since the first one was done: starting up does not count. None: too early to say."""
        done = self._state[0]
        if self._first is None or done <= self._first[1]:
            return None
        return (done - self._first[1]) / max(self._clock() - self._first[0], 1e-6)


def duration(seconds: float) -> str:
    """To one unit, as an estimate is no better."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


class _Bar(ProgressColumn):
    """A bar in what a terminal's line has left beside the text, which matters more; or none."""

    def __init__(self, pace: PlainProgress, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._pace, self._console = pace, console

    def render(self, task: Task) -> ProgressBar | Text:
        done, total, _ = self._pace.state
        room = _room(self._pace, self._console)
        width = min(_BAR_WIDTH, room - len(self._pace.text(room)))
        if width < _LEAST_BAR_WIDTH:
            return Text()
        return ProgressBar(
            total=total or None, completed=done, width=width, pulse=not total, animation_time=task.get_time()
        )


class _Pace(ProgressColumn):
    """What a line of text would say, in the width that a terminal has."""

    def __init__(self, pace: PlainProgress, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._pace, self._console = pace, console

    def render(self, task: Task) -> Text:
        room = _room(self._pace, self._console)
        text = self._pace.text(room)
        return Text(text if len(text) <= room else f"{text[: room - 1]}…")


def _room(pace: PlainProgress, console: Console) -> int:
    """Of a terminal's line, beside the stage's name and the spaces."""
    return console.width - len(pace.label) - 3


class Display:
    """Shows stages on standard error: a bar on a terminal, a line in a notebook, lines elsewhere; quiet: nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "images") -> Iterator[PlainProgress]:
        """A stage's progress: what it yields is called with (done, total) or (done, total, failed)."""
        pace = PlainProgress(name, unit)
        if self.quiet:
            yield pace
            return
        shown = self._in_place if self.console.is_jupyter else self._bar if self.console.is_terminal else self._lines
        with shown(pace):
            yield pace

    @contextlib.contextmanager
    def _bar(self, pace: PlainProgress) -> Iterator[None]:
        """One line of a terminal, which it never breaks."""
        label = TextColumn(pace.label, markup=False, table_column=Column(no_wrap=True))
        columns = (label, _Bar(pace, self.console), _Pace(pace, self.console))
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(pace.label, total=None)
            yield

    @contextlib.contextmanager
    def _in_place(self, pace: PlainProgress) -> Iterator[None]:
        """A line of a notebook, written anew each second; rich's own bar would need ipywidgets."""
        from IPython.display import display  # a notebook has it

        line = display({"text/plain": ""}, raw=True, display_id=True)

        def show() -> None:
            line.update({"text/plain": f"{pace.label} {pace.text()}"}, raw=True)

        with _each_second(show):
            yield
        show()

    @contextlib.contextmanager
    def _lines(self, pace: PlainProgress) -> Iterator[None]:
        """Show what is due: a stage that gets nothing done is silent itself, and should be seen."""

        def show() -> None:
            if text := pace.due():
                self.line(text)

        with _each_second(show):
            yield

    def line(self, text: str) -> None:
        """A line for people to read."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """A line that is shown even when quiet."""
        self._print(text, style="yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        if self.console.is_terminal:  # broken between words, and below what the stage is called
            indent = " " * (_NAME_WIDTH + 1)
            text = textwrap.fill(
                text, self.console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        self.console.print(text, style=style, markup=False, soft_wrap=True)


class LogDisplay(Display):
    """Says in the log what a display would show: where a library is used, and nobody looks."""

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "images") -> Iterator[PlainProgress]:
        pace = PlainProgress(name, unit)
        with self._lines(pace):
            yield pace

    def line(self, text: str) -> None:
        logger.info(text.strip())

    def warn(self, text: str) -> None:
        logger.warning(text.strip())


def choose_display(shown: bool | None) -> Display:
    """What a library's user sees: progress, or what the log takes; None: progress, on a terminal and in a notebook."""
    display = Display()
    if shown is None:
        shown = display.console.is_terminal or display.console.is_jupyter
    return display if shown else LogDisplay()


@contextlib.contextmanager
def _each_second(show: Callable[[], None]) -> Iterator[None]:
    """Something is shown inside, from a thread."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            show()

    thread = threading.Thread(target=watch, name="pixelbrain-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

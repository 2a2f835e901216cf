"""What the terminal shows: one progress line a stage, then one line that says what it did."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Display"]


class _Rate(ProgressColumn):
    """Units a second, averaged since the first one was done: starting up does not count."""

    def render(self, task: Task) -> Text:
        first = task.fields.get("first")
        if not first or task.completed <= first[1]:
            return Text("starting", style="dim")
        rate = (task.completed - first[1]) / max(time.monotonic() - first[0], 1e-6)
        return Text(f"{rate:,.1f}/s", style="cyan")


class Display:
    """Shows stages on standard error; a bar only where someone looks at it, nothing when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, name: str, unit: str = "images") -> Iterator[Callable[..., None]]:
        """A stage's progress: the callback takes (done, total) or (done, total, failed)."""
        if self.quiet or not self.console.is_terminal:
            yield lambda done, total, failed=0: None
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
        task = progress.add_task(name, total=None, unit=unit, failures="", first=None, of="?")

        def tell(done: int, total: int, failed: int = 0) -> None:
            first = progress.tasks[0].fields["first"]
            if first is None and done:
                first = (time.monotonic(), done)
            failures = f"{failed:,} failed" if failed else ""
            progress.update(task, completed=done, total=total, failures=failures, first=first, of=f"{total:,}")

        with progress:
            yield tell

    def line(self, text: str) -> None:
        """A line for people to read."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A line that is shown even when quiet."""
        self.console.print(text, style="yellow", markup=False)

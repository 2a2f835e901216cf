"""Progress where nobody looks: plain lines, rarely, from a clock that the test turns."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest
from rich.console import Console

from pixelbrain.stages.display import Display, LogDisplay, PlainProgress, choose_display


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_long_wait_is_told_at_once_and_until_when():
    now = 0.0
    progress = PlainProgress("ask", "images", clock=lambda: now)
    progress(3, 400)
    progress.waits(5.0, "the limit of 12 requests a minute")
    assert progress.due() is None and "for 5 s): the limit of 12 requests a minute" in progress.text()
    progress.waits(3600.0, "the server")
    said = progress.due()
    assert said is not None and said.startswith("ask       3 of 400 images after 0 s, waits until ")
    assert said.endswith(" (for 60 min): the server") and "left" not in said
    progress.waits(3599.0, "the server")
    assert progress.due() is None  # not each second
    progress(4, 400)
    assert "waits" not in progress.text()


def test_lines_come_after_ten_seconds_and_then_at_growing_intervals(clock):
    progress = PlainProgress("extract", "images", clock=clock)
    at = []
    for second in range(3600):
        clock.now = 1000.0 + second
        if progress.due():
            at.append(second)
    assert at[:7] == [10, 30, 70, 150, 310, 610, 910]
    assert {later - earlier for earlier, later in zip(at[5:], at[6:], strict=False)} == {300}


def test_a_line_says_how_far_how_fast_and_how_long(clock):
    progress = PlainProgress("extract", "images", clock=clock)
    clock.now += 9
    progress(210, 10_000)  # the first: what came before was starting up
    clock.now += 30
    progress(1200, 10_000, 3)
    assert progress.due() == "extract   1,200 of 10,000 images after 39 s, 33.0/s, 3 failed, about 4 min left"
    assert progress.due() is None  # said


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ([], "identify  at work for 20 s"),
        ([(0, 50)], "identify  0 of 50 faces after 20 s, starting"),
        ([(10, 50), (50, 50)], "identify  50 of 50 faces after 20 s, 4.0/s"),
        ([(10, 50), (30, 50)], "identify  30 of 50 faces after 20 s, 2.0/s, about 10 s left"),
        ([(1, 100_001), (11, 100_001)], "identify  11 of 100,001 faces after 20 s, 1.0/s, about 28 h left"),
    ],
)
def test_a_line_leaves_out_what_it_does_not_know(told, line, clock):
    progress = PlainProgress("identify", "faces", clock=clock)
    for numbers in told:
        clock.now += 10
        progress(*numbers)
    clock.now = 1020
    assert progress.due() == line


def test_lines_are_shown_even_if_nothing_is_told(clock, monkeypatch):
    monkeypatch.setattr("pixelbrain.stages.display._LOOK_S", 0.001)
    display = Display()
    display.console = Console(file=io.StringIO())
    with display._lines(PlainProgress("extract", "images", clock=clock)):
        clock.now += 12
        deadline = time.monotonic() + 30
        while not display.console.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.001)
    assert display.console.file.getvalue() == "extract   at work for 12 s\n"


def test_a_stage_elsewhere_than_on_a_terminal_ends_with_its_thread():
    display = Display()
    display.console = Console(file=io.StringIO())
    with display.stage("extract") as tell:
        tell(1, 2)
        tell(2, 2, 1)
    assert display.console.file.getvalue() == ""  # it was over before a line was due


def test_quiet_stays_quiet():
    display = Display(quiet=True)
    display.console = Console(file=io.StringIO())
    with display.stage("extract") as tell:
        tell(1, 2)
    display.line("done")
    assert display.console.file.getvalue() == ""


def test_of_how_many_need_not_be_known(clock):
    progress = PlainProgress("resnet50", "bytes", clock=clock)
    progress(10, None)
    clock.now += 20
    assert progress.due() == "resnet50  at work for 20 s"


def test_a_terminal_shows_a_bar_with_its_pace(monkeypatch):
    display = Display()
    display.console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with display.stage("extract") as tell:
        tell(5, None)
        time.sleep(0.01)
        tell(50, 100, 3)
        time.sleep(0.01)
    last = display.console.file.getvalue().rsplit("extract", 1)[1]
    assert "50 of 100 images after 0 s" in last and "/s" in last and "3 failed" in last


PROGRAM = """
import sys, time
from pixelbrain.stages.display import Display

display = Display()
with display.stage("extract") as tell:
    time.sleep(0.2)
    for done in (1, 20_000, 100_000):
        tell(done, 250_000, 1_200)
        time.sleep(0.2)
display.line("load      7 images into MongoDB, 0 image and 0 face vectors into ChromaDB, and much more to say, 1 s")
"""


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_real_terminal_is_never_wider_than_its_lines(columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while got := os.read(ours, 4096):
                shown += got
    os.close(ours)
    assert process.returncode == 0
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()))
    assert max(map(len, lines)) <= columns
    last = [line for line in lines if line.startswith("extract")][-1]
    assert "100,000 of 250,000 images" in last and ("━" in last) == (columns == 160)
    assert ("1,200 failed" in last) == ("left" in last) == (columns > 40)
    if columns == 80:  # a line that stays is broken between words
        assert lines[-3].endswith("face vectors into ChromaDB, and") and lines[-2] == "          much more to say, 1 s"


def test_a_library_says_it_in_the_log(caplog, capsys):
    with caplog.at_level(logging.INFO), LogDisplay().stage("load") as tell:
        tell(1, 2)
        LogDisplay().line("load      1 image")
        LogDisplay().warn("          refused: a")
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("INFO", "load      1 image"), ("WARNING", "refused: a"),
    ]  # fmt: skip
    assert capsys.readouterr() == ("", "")


def test_the_log_hears_how_far_it_is(caplog, monkeypatch):
    monkeypatch.setattr("pixelbrain.stages.display._LOOK_S", 0.001)
    monkeypatch.setattr("pixelbrain.stages.display._FIRST_LINE_S", 0.01)
    with caplog.at_level(logging.INFO), LogDisplay().stage("load") as tell:
        tell(1, 2)
        deadline = time.monotonic() + 30
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.001)
    assert caplog.messages[0] == "load      1 of 2 images after 0 s, starting"


def test_a_library_shows_it_where_someone_looks(monkeypatch):
    assert type(choose_display(None)) is type(choose_display(False)) is LogDisplay  # under pytest, nobody does
    assert type(choose_display(True)) is Display
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    assert type(choose_display(None)) is Display

"""Ctrl-C in two steps, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pixelbrain.engine import interrupt
from pixelbrain.engine.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_one_asks_and_the_handlers_are_given_back(number, capsys):
    before, asked = signal.getsignal(number), threading.Event()
    with Interrupt(asked.set) as entered:
        assert not entered.requested
        os.kill(os.getpid(), number)
        assert asked.wait(60) and entered.requested
        assert capsys.readouterr().err == "Stopping: landing what is in flight; once more stops now.\n"
    assert signal.getsignal(number) is before
    assert not entered._patience.is_alive() or entered._patience.finished.wait(1)


def test_the_second_one_ends_the_process_and_its_children():
    program = (
        "import os, signal, subprocess, sys, time\n"
        "from pixelbrain.engine.interrupt import Interrupt\n"
        "with Interrupt(lambda: None):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    print(child.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 130 and "Stopped at once" in done.stderr
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{int(done.stdout)}/cmdline") and time.monotonic() < deadline:
        try:
            with open(f"/proc/{int(done.stdout)}/stat") as state:
                if state.read().rsplit(")", 1)[1].split()[0] == "Z":  # ended, and nobody here waits for it
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{int(done.stdout)}")


def test_what_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(interrupt, "GRACE_S", 0.1)
    with pytest.raises(KeyboardInterrupt), Interrupt(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):  # one sleep would not be broken off
            time.sleep(0.1)


def test_another_thread_gets_no_signals():
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter() -> None:
        with Interrupt(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_came_in_a_finalizer_is_heeded_all_the_same():
    class Pressed:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGINT)
    with interrupt.heeded() as heed:
        heed()
        one = Pressed()
        del one  # Python drops what is raised there
        with pytest.raises(KeyboardInterrupt):
            heed()
    assert signal.getsignal(signal.SIGINT) is before

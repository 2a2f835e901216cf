"""Who holds a lock: for the message to whom it is refused, and to see that a holder is dead."""

from __future__ import annotations

import datetime
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ENDED = ("Z", "X")  # states of a process that runs no more, and whose parent has not taken note of it


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that holds a lock."""

    host: str
    pid: int
    what: str  # that it does: the command
    since: str  # as "2026-11-22 19:17:21 UTC"
    machine: str | None  # the running kernel and its space of process ids; None where the system does not say
    started: str | None  # tells it from a later process with the same id

    @classmethod
    def this_process(cls, what: str) -> Owner:
        """This process, from now on."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            what=what,
            since=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
            machine=_machine(),
            started=_started(os.getpid()),
        )

    def is_same_process(self, other: Owner) -> bool:
        """Whether both are certain to be one process."""
        known = self.machine is not None and self.started is not None
        return known and (self.machine, self.pid, self.started) == (other.machine, other.pid, other.started)

    def is_dead(self) -> bool:
        """Whether it is certain that the process runs no more; never of one on another machine.

        A container counts as another machine unless it shares this one's process ids.
        """
        if self.machine is None or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # there is a process, of another user
        started = _started(self.pid)
        return started is not None and started != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.what}, since {self.since})"


def _machine() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:  # not Linux, or a sandbox that hides it
        return None


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot; "ended" if it runs no more; None where the system does not say."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return "ended" if state in _ENDED else fields[18]

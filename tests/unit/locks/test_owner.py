"""An owner is dead only when that is certain."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

from pixelbrain.locks.owner import Owner


def test_only_what_is_certain_is_dead():
    me = Owner.this_process("extract")
    assert not me.is_dead() and me.is_same_process(dataclasses.replace(me))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = dataclasses.replace(me, pid=ended.pid)
    assert gone.is_dead() and not gone.is_same_process(me)
    assert dataclasses.replace(me, started="1").is_dead()  # another process has its number now
    assert not dataclasses.replace(gone, machine="another").is_dead()
    assert not dataclasses.replace(gone, machine=None).is_dead()
    assert not dataclasses.replace(me, pid=1, started=me.started, machine="another").is_dead()
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert dataclasses.replace(me, pid=zombie.pid).is_dead()
    zombie.wait()

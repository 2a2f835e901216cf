"""A benchmark's CPU is that of all processes, also of those that ended before it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks._cpu import CpuWatch

BUSY = """
import time
while time.process_time() < 0.2:
    pass
print(flush=True)
input()
"""


def start() -> subprocess.Popen:
    """A process that has had a fifth of a second of a processor, and waits for a line to end."""
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_what_a_process_took_that_ended_is_not_forgotten():
    with CpuWatch(os.getpid(), every_s=60) as cpu:
        before = cpu.seconds()
        process = start()
        seen = cpu.seconds()
        process.communicate(b"\n")
        assert cpu.seconds() >= seen >= before + 0.15


def test_one_that_does_not_count_does_not():
    process = start()
    with CpuWatch(os.getpid(), every_s=60) as cpu, CpuWatch(os.getpid(), but=process.pid, every_s=60) as without:
        assert without.seconds() <= cpu.seconds() - 0.15
    process.communicate(b"\n")

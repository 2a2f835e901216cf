"""A job's end, as an exit code."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pixelbrain.engine.cluster.jobs import _exit_code
from pixelbrain.errors import EngineError


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 3, 3),
        ("FAILED", 130, 130),
        ("FAILED", -9, 137),  # a shell's for SIGKILL
        ("FAILED", 0, 1),
        ("STOPPED", None, 130),
    ],
)
def test_it_is_the_commands(status, code, ours):
    assert _exit_code("id", SimpleNamespace(status=status, driver_exit_code=code, message="")) == ours


def test_a_job_that_never_ran_says_why():
    details = SimpleNamespace(status="FAILED", driver_exit_code=None, message="Traceback ...\n\nValueError: no pip\n.")
    with pytest.raises(EngineError, match="the job id failed: ValueError: no pip$"):
        _exit_code("id", details)

"""The files of jobs/: the commands themselves, and a runtime environment that says what pyproject.toml says."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pixelbrain.cli.main import cli
from pixelbrain.engine.cluster.job_check import read_runtime_env
from pixelbrain.engine.cluster.jobs import STOP_WAIT_S

JOBS = Path(__file__).parent.parent.parent / "jobs"


@pytest.mark.parametrize("name", ["run", "extract", "ask", "load", "identify"])
def test_a_job_is_the_command(name):
    found = runpy.run_path(str(JOBS / f"{name}.py"))
    assert found[name] is cli.commands[name]


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "pixelbrain", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and "version" in done.stdout


def test_the_runtime_environment_has_what_the_package_needs():
    runtime_env = read_runtime_env(JOBS / "runtime_env.yaml")
    text = (JOBS.parent / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    needed = re.findall(r'^\s*"([^"]+)"', listed[1], re.MULTILINE)
    assert len(needed) > 15 and sorted(runtime_env["pip"]) == sorted(needed)
    assert runtime_env["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)}


def test_the_runtime_environment_is_one_of_rays():
    """Its keys and types, by Ray's own schemas."""
    from ray.runtime_env import RuntimeEnv

    checked = RuntimeEnv(**yaml.safe_load((JOBS / "runtime_env.yaml").read_text()))
    assert set(checked) >= {"pip", "excludes", "env_vars"}

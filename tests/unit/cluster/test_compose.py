"""cluster/compose.yaml by Docker Compose itself, which reads a file without a daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.cluster.files import CLUSTER, change, compose_services, load, run_compose

ENVIRONMENT = ("--env-file", str(CLUSTER / "env.example"))
NODES = ("ray-head", "ray-worker", "ray-gpu-worker")


def test_compose_takes_it() -> None:
    assert set(compose_services()) == {"mongo", "chroma", "s3", "ray-head", "ray-worker"}
    assert set(compose_services("gpu")) == {"mongo", "chroma", "s3", *NODES}


@pytest.mark.parametrize(
    "path",
    [
        "service",
        "services.mongo.helthcheck",
        "services.mongo.healthcheck.retry",
        "services.ray-worker.depends_on.ray-head.condition",  # no such condition
        "services.ray-worker.depends_on.redis",  # no such service
        "services.ray-head.volumes.0",  # no such volume
        "services.ray-gpu-worker.deploy.resources.reservations.devices.0.capabilities",  # a text
    ],
)
def test_compose_refuses_a_mistake(path: str, tmp_path: Path) -> None:
    document = load("compose.yaml")
    change(document, path, "volume:/data" if path.endswith("volumes.0") else "x")
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    refused = run_compose(file, "--profile", "gpu", *ENVIRONMENT)
    assert refused.returncode != 0 and refused.stderr


def test_no_password_has_a_default() -> None:
    used = re.findall(r"\$\{(\w+)([^}]*)\}", (CLUSTER / "compose.yaml").read_text(encoding="utf-8"))
    required = {name for name, rest in used if rest == ":?see env.example"}
    assert required == {"RAY_AUTH_TOKEN", "MONGO_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
    with_default = {name for name, rest in used if rest != ":?see env.example"}
    assert with_default == {"OPENAI_API_KEY", "PHOTOS", "WORKERS", "WORKER_CPUS"}

    refused = run_compose(CLUSTER / "compose.yaml")
    assert refused.returncode != 0
    for name in required:
        assert f"required variable {name} is missing a value" in refused.stderr


def test_everything_waits_for_what_it_needs_and_is_watched() -> None:
    services = compose_services("gpu")
    waits = {name: services[name].get("depends_on", {}) for name in services}
    assert set(waits["ray-head"]) == {"mongo", "chroma", "s3"}
    assert set(waits["ray-worker"]) == set(waits["ray-gpu-worker"]) == {"ray-head"}
    assert all(wait["condition"] == "service_healthy" for found in waits.values() for wait in found.values())
    for name in ("mongo", "chroma", "s3"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    for name in NODES:  # the image's own
        assert "test" not in services[name].get("healthcheck", {})


def test_only_this_machine_reaches_the_ports() -> None:
    ports = [port for service in compose_services("gpu").values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_head_runs_no_tasks_and_all_nodes_have_the_token() -> None:
    services = compose_services("gpu")
    assert "--num-cpus=0" in services["ray-head"]["command"]
    for name in NODES:
        service = services[name]
        assert service["environment"]["RAY_AUTH_MODE"] == "token" and service["environment"]["RAY_AUTH_TOKEN"]
        assert int(service["shm_size"]) >= 1024**3
        assert service["cap_drop"] == ["ALL"]
    for name in ("ray-worker", "ray-gpu-worker"):
        assert not {"OPENAI_API_KEY", "PIXELBRAIN_MONGO"} & set(services[name]["environment"])


def test_every_image_but_those_of_others_is_built_from_the_dockerfile() -> None:
    services = compose_services("gpu")
    built = {name: service["build"] for name, service in services.items() if "build" in service}
    assert set(built) == {"chroma", *NODES}
    for name, build in built.items():
        assert Path(build["context"]) == CLUSTER.parent and build["dockerfile"] == "cluster/Dockerfile"
        variant = "cuda" if name == "ray-gpu-worker" else "cpu"
        assert services[name]["image"].endswith(f"-{variant}")
        assert build["args"]["TORCH_BACKEND"].startswith("cu" if variant == "cuda" else "cpu")

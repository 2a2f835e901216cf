"""Every command in cluster/ is one that our command line, or Ray's, takes with these options."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from ray.scripts.scripts import cli as ray_cli

from pixelbrain.cli.main import cli
from tests.unit.cluster.files import code_lines, compose_services, load

TYPED = ("README.md", "Dockerfile", "aws.yaml", "compose.yaml", "kuberay/raycluster.yaml", "kuberay/rayjob.yaml")
OURS = re.compile(r"^(?:docker compose exec ray-head )?(?:python -m )?pixelbrain (.+)$")
RAYS = re.compile(r"^ray (.+)$")


def parse(command: click.Command, words: list[str]) -> click.Context:
    """Parse a command line, and do nothing else. Raises `click.UsageError`."""
    words = list(words)
    while isinstance(command, click.Group):
        name = words.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"no command {name}")
        command = command.commands[name]
    return command.make_context(command.name, words)


def parse_ours(line: str) -> list[str]:
    """Parse one of our command lines, and the command in a `submit`; returns the names of the commands."""
    words = shlex.split(line)
    context = parse(cli, words)
    submitted = list(context.params.get("words") or ())
    return [words[0], *(parse_ours(shlex.join(submitted)) if submitted else [])]


def typed(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """The commands in the files' code: in which, and what."""
    return [(name, found[1]) for name in TYPED for line in code_lines(name) if (found := pattern.search(line))]


def started() -> dict[str, str]:
    """The commands that the files run by themselves, by who does."""
    aws = load("aws.yaml")
    found = {f"aws.yaml head {i}": line for i, line in enumerate(aws["head_start_ray_commands"])}
    found |= {f"aws.yaml worker {i}": line for i, line in enumerate(aws["worker_start_ray_commands"])}
    services = compose_services("gpu")
    found |= {name: shlex.join(services[name]["command"]) for name in services if name.startswith("ray-")}
    head = load("kuberay/raycluster.yaml")["spec"]["headGroupSpec"]
    (container,) = head["template"]["spec"]["containers"]
    return found | {"kuberay preStop": container["lifecycle"]["preStop"]["exec"]["command"][-1]}


def test_our_commands_parse() -> None:
    found = typed(OURS)
    names = [name for file, line in found for name in parse_ours(line)]
    assert {"cluster", "submit", "extract", "run", "status"} <= set(names)
    assert len(found) >= 8


def test_the_jobs_entrypoint_parses() -> None:
    entrypoint = load("kuberay/rayjob.yaml")["spec"]["entrypoint"]
    program, line = entrypoint.split(" pixelbrain ", 1)
    assert program == "python -m"
    assert parse_ours(line) == ["extract"]


def test_rays_commands_parse() -> None:
    lines = [line for _, line in typed(RAYS)]
    assert {line.split()[0] for line in lines} == {"up", "down", "dashboard", "get-auth-token"}
    for line in lines:
        parse(ray_cli, shlex.split(line))
    run = started()
    assert len(run) == 8
    for line in run.values():
        program, *words = shlex.split(line)
        assert program == "ray"
        parse(ray_cli, words)


def test_a_node_that_is_started_is_labelled_and_measured() -> None:
    starts = [line for line in started().values() if line.startswith("ray start")]
    assert len(starts) == 5
    assert all("--metrics-export-port=8080" in line for line in starts)
    labels = {found[1] for line in starts if (found := re.search(r"--labels=(\S+)", line))}
    assert labels == {f"pixelbrain/role={role}" for role in ("head", "cpu", "gpu")}


@pytest.mark.parametrize(
    "line",
    [
        "extract s3://b/p --output s3://b/o",
        "extract s3://b/p --out s3://b/o --device tpu",
        "submit --adress http://h:8265 extract s3://b/p --out s3://b/o",
        "submit --address http://h:8265 extract s3://b/p --autoscaling",
        "cluster start --local",
    ],
)
def test_a_slip_of_the_pen_is_found_in_ours(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse_ours(line)


@pytest.mark.parametrize("line", ["start --head --label=a=b", "start --num-cpus=two", "upp cluster/aws.yaml"])
def test_a_slip_of_the_pen_is_found_in_rays(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(ray_cli, shlex.split(line))

"""cluster/aws.yaml by Ray's schema and by Ray's launcher, which starts each node type in a fake EC2."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import jsonschema
import pytest
from moto.server import ThreadedMotoServer
from ray._private.label_utils import validate_node_label_syntax
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_NODE_STATUS

from tests.integration.s3_servers import aws_environment
from tests.unit.cluster.files import change, load

WORKERS = ("cpu", "gpu")


@pytest.fixture(scope="module")
def ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a fake EC2, which Ray's launcher talks to, too."""
    home: Path = tmp_path_factory.mktemp("home")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": load("aws.yaml")["provider"]["region"],
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        with aws_environment(**variables) as patch:
            patch.setenv("HOME", str(home))  # the launcher keeps its key pair in ~/.ssh
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            (home / ".ssh").mkdir()
            for profile in ("pixelbrain-head", "pixelbrain-worker"):
                boto3.client("iam").create_instance_profile(InstanceProfileName=profile)
            yield boto3.client("ec2")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def launched(ec2: Any) -> tuple[AWSNodeProvider, dict[str, Any]]:
    """Ray's node provider, and our file as `ray up` has it before the first node starts."""
    config = AWSNodeProvider.bootstrap_config(prepare_config(load("aws.yaml")))
    return AWSNodeProvider(config["provider"], config["cluster_name"]), config


def start(provider: AWSNodeProvider, node_config: dict[str, Any], kind: str) -> str:
    """Start one node; returns its id."""
    tags = {TAG_RAY_NODE_KIND: kind, TAG_RAY_LAUNCH_CONFIG: "x", TAG_RAY_NODE_NAME: "x", TAG_RAY_NODE_STATUS: "x"}
    (node_id,) = provider.create_node(node_config, tags, 1)
    return node_id


def test_ray_takes_the_file() -> None:
    validate_config(prepare_config(load("aws.yaml")))


@pytest.mark.parametrize(
    "path",
    [
        "idle_timeout_minute",
        "docker.images",
        "auth.user",
        "available_node_types.gpu.min_worker",
        "available_node_types.gpu.label",
        "available_node_types.gpu.docker.image",
        "available_node_types.gpu.resources.GPU",  # a text
        "provider.security_group",  # a text
    ],
)
def test_ray_refuses_a_misspelt_key(path: str) -> None:
    config = load("aws.yaml")
    change(config, path)
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


def test_a_head_on_demand_without_tasks_and_spot_workers_by_demand() -> None:
    config = prepare_config(load("aws.yaml"))
    types = config["available_node_types"]
    assert set(types) == {"head", *WORKERS}
    assert config["head_node_type"] == "head"
    assert types["head"]["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    for name in WORKERS:
        assert types[name]["min_workers"] == 0 < types[name]["max_workers"]
        assert types[name]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert sum(types[name]["max_workers"] for name in WORKERS) == config["max_workers"]
    assert types["gpu"]["resources"]["GPU"] == 1 and "GPU" not in types["cpu"]["resources"]
    assert 0 < config["idle_timeout_minutes"] <= 10
    assert config["provider"]["cache_stopped_nodes"] is False  # a spot instance cannot be stopped


def test_labels_are_ones_that_ray_takes() -> None:
    types = load("aws.yaml")["available_node_types"]
    for name, node_type in types.items():
        validate_node_label_syntax(node_type["labels"])
        assert node_type["labels"] == {"pixelbrain/role": name}


def test_every_node_gets_the_token_and_only_the_head_the_secrets() -> None:
    config = prepare_config(load("aws.yaml"))
    assert config["file_mounts"] == {"/home/pixelbrain/.ray/auth_token": "~/.ray/auth_token"}
    docker = config["docker"]
    assert "--env RAY_AUTH_MODE=token" in docker["run_options"]
    (env_file,) = [option.split()[1] for option in docker["head_run_options"] if option.startswith("--env-file")]
    (fetch,) = config["initialization_commands"]
    assert fetch.endswith(f"> {env_file}") and f"--region {config['provider']['region']} " in fetch
    for name in WORKERS:
        worker = config["available_node_types"][name]
        assert worker["initialization_commands"] == []
        assert not any("env-file" in o for o in worker.get("docker", {}).get("worker_run_options", []))


def test_what_the_nodes_are_said_to_have_is_what_their_instances_have(ec2: Any) -> None:
    types = load("aws.yaml")["available_node_types"]
    by_instance = {types[name]["node_config"]["InstanceType"]: types[name]["resources"] for name in WORKERS}
    found = ec2.describe_instance_types(InstanceTypes=list(by_instance))["InstanceTypes"]
    assert len(found) == len(by_instance)
    for instance in found:
        resources = by_instance[instance["InstanceType"]]
        gpus = sum(gpu["Count"] for gpu in instance.get("GpuInfo", {}).get("Gpus", []))
        assert resources["CPU"] == instance["VCpuInfo"]["DefaultVCpus"]
        assert resources.get("GPU", 0) == gpus


@pytest.mark.parametrize("name", ["head", *WORKERS])
def test_rays_launcher_starts_it(ec2: Any, launched: tuple[AWSNodeProvider, dict[str, Any]], name: str) -> None:
    provider, config = launched
    wanted = load("aws.yaml")["available_node_types"][name]["node_config"]
    node_config = copy.deepcopy(config["available_node_types"][name]["node_config"])

    node_id = start(provider, node_config, "head" if name == "head" else "worker")

    (reservation,) = ec2.describe_instances(InstanceIds=[node_id])["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["InstanceType"] == wanted["InstanceType"]
    assert instance["IamInstanceProfile"]["Arn"].endswith(
        "/pixelbrain-head" if name == "head" else "/pixelbrain-worker"
    )
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance.get("InstanceLifecycle") == (None if name == "head" else "spot")
    (mapping,) = instance["BlockDeviceMappings"]
    (volume,) = ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
    assert mapping["DeviceName"] == "/dev/sda1"
    assert volume["Size"] == wanted["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] >= 100
    assert volume["Encrypted"] and volume["VolumeType"] == "gp3"


@pytest.mark.parametrize(
    "path",
    [
        "IamInstanceProfiles",
        "BlockDeviceMappings.0.Ebs.VolumeSizes",
        "InstanceMarketOptions.SpotOptions.SpotInstanceTypes",
        "MetadataOptions.HttpToken",
    ],
)
def test_rays_launcher_refuses_a_misspelt_key(launched: tuple[AWSNodeProvider, dict[str, Any]], path: str) -> None:
    provider, config = launched
    node_config = copy.deepcopy(config["available_node_types"]["gpu"]["node_config"])
    change(node_config, path)
    with pytest.raises(botocore.exceptions.ParamValidationError):
        start(provider, node_config, "worker")

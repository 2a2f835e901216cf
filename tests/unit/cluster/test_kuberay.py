"""cluster/kuberay by Kubernetes' schemas, by KubeRay's fields, and by the autoscaler that reads them: Ray's own."""

from __future__ import annotations

import copy
import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.scripts.scripts import start

from tests.unit.cluster.files import MANIFESTS, change, load
from tests.unit.cluster.kuberay_schema import RAY_CLUSTER, RAY_JOB

KUBERNETES = "1.37"
SCHEMAS = {"RayCluster": RAY_CLUSTER, "RayJob": RAY_JOB}
GIGABYTE = 1024**3


def cluster_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    """The Ray cluster of either manifest."""
    spec = manifest["spec"]
    return spec if manifest["kind"] == "RayCluster" else spec["rayClusterSpec"]


def groups(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The head's group and the workers', by name."""
    spec = cluster_spec(manifest)
    return {"head": spec["headGroupSpec"], **{group["groupName"]: group for group in spec["workerGroupSpecs"]}}


def check(manifest: dict[str, Any]) -> None:
    """KubeRay's fields and Kubernetes' pods. Raises ValidationError of jsonschema or of kubernetes_validate."""
    jsonschema.Draft202012Validator(SCHEMAS[manifest["kind"]]).validate(manifest)
    options = cluster_spec(manifest)["autoscalerOptions"]
    of_container = {key: options[key] for key in ("securityContext", "resources") if key in options}
    autoscaler = {"name": "autoscaler", "image": "x", **of_container}  # KubeRay puts it into the head's pod
    for name, group in groups(manifest).items():
        pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(group["template"])}
        pod["metadata"]["name"] = name
        pod["spec"]["containers"].append(autoscaler)
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def autoscaling(manifest: dict[str, Any]) -> dict[str, Any]:
    """What Ray's autoscaler makes of a manifest, once KubeRay has made a RayCluster of it."""
    made = {"metadata": {"name": "pixelbrain", "namespace": "default"}, "spec": cluster_spec(manifest)}
    return _derive_autoscaling_config_from_ray_cr(made)


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_schemas_take_it(name: str) -> None:
    check(load(name))


@pytest.mark.parametrize(
    "path",
    [
        "spec.autoscalerOption",
        "spec.enableInTreeAutoscaling",  # a text
        "spec.authOptions.mode",  # no such mode
        "spec.autoscalerOptions.idleTimeoutSecond",
        "spec.autoscalerOptions.securityContext.privilegeEscalation",
        "spec.headGroupSpec.rayStartParam",
        "spec.workerGroupSpecs.1.minReplica",
        "spec.workerGroupSpecs.1.template.spec.toleration",
        "spec.workerGroupSpecs.1.template.spec.tolerations.0.effects",
        "spec.workerGroupSpecs.1.template.spec.containers.0.resources.limit",
        "spec.headGroupSpec.template.spec.containers.0.livenessProbe.httpGet.paths",
        "spec.headGroupSpec.template.spec.containers.0.env.0.valueFrom.secretKeyRef.keys",
        "spec.headGroupSpec.template.spec.securityContext.runAsUser",  # a text
    ],
)
def test_the_schemas_refuse_a_misspelt_key(path: str) -> None:
    manifest = load("kuberay/raycluster.yaml")
    change(manifest, path)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(manifest)


@pytest.mark.parametrize("path", ["spec.entrypoints", "spec.submissionMode", "spec.rayClusterSpec.rayVersions"])
def test_the_schemas_refuse_a_misspelt_key_of_a_job(path: str) -> None:
    manifest = load("kuberay/rayjob.yaml")
    change(manifest, path)
    with pytest.raises(jsonschema.ValidationError):
        check(manifest)


def test_the_job_has_the_same_cluster() -> None:
    assert cluster_spec(load("kuberay/rayjob.yaml")) == cluster_spec(load("kuberay/raycluster.yaml"))


def test_a_job_goes_on_where_it_failed_and_takes_its_cluster_along() -> None:
    spec = load("kuberay/rayjob.yaml")["spec"]
    assert spec["shutdownAfterJobFinishes"] is True and spec["ttlSecondsAfterFinished"] > 0
    assert spec["backoffLimit"] >= 1 and spec["activeDeadlineSeconds"] > 0


def test_rays_autoscaler_reads_a_head_without_tasks_and_workers_by_demand() -> None:
    config = autoscaling(load("kuberay/raycluster.yaml"))
    types = config["available_node_types"]
    assert set(types) == {"headgroup", "cpu", "gpu"}
    assert types["headgroup"]["resources"] == {"CPU": 0, "memory": 8 * GIGABYTE}
    assert types["cpu"]["resources"] == {"CPU": 14, "memory": 24 * GIGABYTE}
    assert types["gpu"]["resources"] == {"CPU": 14, "GPU": 1, "memory": 48 * GIGABYTE}
    assert types["headgroup"]["max_workers"] == 0
    for name in ("cpu", "gpu"):
        assert types[name]["min_workers"] == 0 < types[name]["max_workers"]
        assert types[name]["labels"] == {"pixelbrain/role": name}
    assert types["headgroup"]["labels"] == {"pixelbrain/role": "head"}
    assert config["idle_timeout_minutes"] == 5


def test_rays_autoscaler_misses_a_group_without_cpus() -> None:
    manifest = load("kuberay/raycluster.yaml")
    del groups(manifest)["cpu"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    with pytest.raises(ValueError, match="failed to detect `CPU`"):
        autoscaling(manifest)


def test_ray_start_has_every_parameter() -> None:
    known = {option.removeprefix("--") for parameter in start.params for option in parameter.opts}
    given = {key for group in groups(load("kuberay/raycluster.yaml")).values() for key in group["rayStartParams"]}
    assert given and given <= known


def test_autoscaling_and_the_token_are_on() -> None:
    spec = cluster_spec(load("kuberay/raycluster.yaml"))
    assert spec["enableInTreeAutoscaling"] is True and spec["autoscalerOptions"]["version"] == "v2"
    assert spec["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("name", ["head", "cpu", "gpu"])
def test_a_pod_is_probed_unprivileged_and_has_room_for_objects(name: str) -> None:
    pod = groups(load("kuberay/raycluster.yaml"))[name]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/api/healthz", "port": 52365}
    assert pod.get("restartPolicy", "Never") == "Never"  # the autoscaler (v2) wants it so
    (grace,) = re.findall(r"ray stop --grace-period (\d+)$", container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert int(grace) < pod["terminationGracePeriodSeconds"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume["emptyDir"] for volume in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert volumes[mounts["/dev/shm"]]["medium"] == "Memory"
    assert mounts["/tmp/ray"] == "ray-logs"  # by this name KubeRay mounts it in the autoscaler, too


def test_only_the_gpu_group_goes_to_tainted_nodes_and_takes_a_card() -> None:
    found = groups(load("kuberay/raycluster.yaml"))
    for name, group in found.items():
        pod = group["template"]["spec"]
        limits = pod["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == ("1" if name == "gpu" else None)
        assert ("tolerations" in pod) is (name == "gpu")
    assert found["gpu"]["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_secrets_come_from_the_secret_and_paid_ones_only_to_the_head() -> None:
    secret = load("kuberay/secrets.example.yaml")
    kubernetes_validate.validate(secret, KUBERNETES, strict=True)
    keys = set(secret["stringData"])
    of_aws = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert keys == {"OPENAI_API_KEY", "PIXELBRAIN_MONGO", "PIXELBRAIN_CHROMA", *of_aws}
    for name, group in groups(load("kuberay/raycluster.yaml")).items():
        given = group["template"]["spec"]["containers"][0]["env"]
        references = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in given if "valueFrom" in one}
        assert set(references) == (keys if name == "head" else of_aws)
        for variable, reference in references.items():
            assert reference == {"name": secret["metadata"]["name"], "key": variable, "optional": True}
        assert [one["name"] for one in given if "value" in one] == ["AWS_REGION"]

"""KubeRay's fields (ray.io/v1, as of 1.6 and 1.7) as a strict schema: no package that installs here brings its CRDs.

Pod templates are Kubernetes' own, and are checked by Kubernetes' schemas.
"""

from __future__ import annotations

from typing import Any

__all__ = ["RAY_CLUSTER", "RAY_JOB"]

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_ANY: dict[str, Any] = {}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_LIST = {"type": "array"}


def _object(required: str = "", /, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": fields, "additionalProperties": False}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    name = {"type": "string", "pattern": r"^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47}
    return _object(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_object("name", name=name, namespace=_TEXT, labels=_TEXTS, annotations=_TEXTS),
        spec=spec,
    )


_AUTOSCALER = _object(
    version=_one_of("v1", "v2"),
    idleTimeoutSeconds=_COUNT,
    upscalingMode=_one_of("Default", "Aggressive", "Conservative"),
    image=_TEXT,
    imagePullPolicy=_one_of("Always", "IfNotPresent", "Never"),
    securityContext=_ANY,
    resources=_ANY,
    env=_LIST,
    envFrom=_LIST,
    volumeMounts=_LIST,
    command=_LIST,
    args=_LIST,
)

_HEAD = _object(
    "rayStartParams template",
    rayStartParams=_TEXTS,
    template=_ANY,
    labels=_TEXTS,
    resources=_TEXTS,
    serviceType=_one_of("ClusterIP", "NodePort", "LoadBalancer"),
    headService=_ANY,
    enableIngress=_FLAG,
    ingressOptions=_ANY,
)

_WORKERS = _object(
    "groupName minReplicas maxReplicas rayStartParams template",
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts=_COUNT,
    idleTimeoutSeconds=_COUNT,
    priority={"type": "integer"},
    rayStartParams=_TEXTS,
    template=_ANY,
    labels=_TEXTS,
    resources=_TEXTS,
    scaleStrategy=_ANY,
    suspend=_FLAG,
)

_CLUSTER_SPEC = _object(
    "headGroupSpec",
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=_object(mode=_one_of("disabled", "token"), secretName=_TEXT, enableK8sTokenAuth=_FLAG),
    enableInTreeAutoscaling=_FLAG,
    autoscalerOptions=_AUTOSCALER,
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
    headServiceAnnotations=_TEXTS,
    gcsFaultToleranceOptions=_ANY,
    upgradeStrategy=_object(type=_one_of("Recreate", "None")),
    managedBy=_TEXT,
    suspend=_FLAG,
)

RAY_CLUSTER = _resource("RayCluster", _CLUSTER_SPEC)

RAY_JOB = _resource(
    "RayJob",
    _object(
        "entrypoint rayClusterSpec",
        entrypoint=_TEXT,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        entrypointResources=_TEXT,
        runtimeEnvYAML=_TEXT,
        jobId=_TEXT,
        metadata=_TEXTS,
        submissionMode=_one_of("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"),
        submitterPodTemplate=_ANY,
        submitterConfig=_object(backoffLimit=_COUNT),
        backoffLimit=_COUNT,
        activeDeadlineSeconds={"type": "integer", "minimum": 1},
        shutdownAfterJobFinishes=_FLAG,
        ttlSecondsAfterFinished=_COUNT,
        deletionStrategy=_ANY,
        managedBy=_TEXT,
        suspend=_FLAG,
        rayClusterSpec=_CLUSTER_SPEC,
    ),
)

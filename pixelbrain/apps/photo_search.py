"""Search by photo: run the model that made the vectors on one photo, and ask ChromaDB for the nearest."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pixelbrain.config import RunConfig
from pixelbrain.errors import LandingError, MixedModelsError, ModuleError
from pixelbrain.images.decode import DecodedImage, decode_image
from pixelbrain.modules.registry import create_module
from pixelbrain.record import read_record
from pixelbrain.report.search import search_faces, search_similar
from pixelbrain.sources import read_bytes
from pixelbrain.sources.local import path_to_uri
from pixelbrain.workflow import Workflow

__all__ = ["search_photo"]

_COLUMNS = {"faces": ["distance", "identity_id", "face_id"], "images": ["distance", "label", "image_id"]}


def search_photo(workflow: Workflow, photo: str, *, by: str = "faces", k: int = 20) -> dict[str, Any]:
    """The faces or images nearest to a photo.

    Args:
        workflow: over the OUT to search.
        photo: a file, or an s3:// URI.
        by: "faces": for each face of the photo, the nearest faces and whose they are; "images": the nearest images.
        k: how many.

    Returns:
        `unit` of the distances, `columns`, and `queries`: a `title` and the `matches`, nearest first, each.

    Raises:
        ImageError: the photo cannot be read.
        LandingError: OUT has no such vectors.
        ModuleError: the model failed on the photo, or found no face in it.
    """
    column = "facenet" if by == "faces" else "resnet"
    landed = workflow.landing.models().get(column)
    if landed is None:
        raise LandingError(f"{workflow.out} has no {column} vectors: run `pixelbrain extract` with --module {column}")
    uri = photo if "://" in photo else path_to_uri(os.path.abspath(os.path.expanduser(photo)))
    module = create_module(column, **_recorded_config(workflow).module_settings()[column])
    if module.model_info() != landed:
        raise MixedModelsError(
            f"the vectors of {workflow.out} are {landed.model}'s, and the model here is another or has other weights: "
            "run `pixelbrain extract` again"
        )
    data = read_bytes(uri, s3_endpoint=workflow.config.s3_endpoint)
    image = decode_image(data, image_id=uri, target=module.decode_target)
    module.prepare()
    module.setup("cpu")
    found = module.run([image])[0]
    if found.get("error_type"):
        raise ModuleError(f"{column} failed on {photo}: {found['error']}")
    with workflow.database() as database:
        queries = _faces(database, image, found, k) if by == "faces" else _similar(database, found, k)
    return {"unit": "cosine distance, 0 to 2", "columns": _COLUMNS[by], "queries": queries}


def _recorded_config(workflow: Workflow) -> RunConfig:
    recorded = read_record(workflow.out).get("settings", {})
    keys = ("classifier", "classes", "top_k", "embedder", "weights_dir", "offline")
    return RunConfig(out=str(workflow.out), **{k: recorded[k] for k in keys if k in recorded})


def _faces(database: Any, image: DecodedImage, found: dict[str, Any], k: int) -> list[dict[str, Any]]:
    if not found["faces"]:
        raise ModuleError("no face was found in the photo; --similar searches by the whole image")
    vectors = np.stack([np.asarray(face["embedding"], np.float32) for face in found["faces"]])
    results = search_faces(database, vectors, k=k)
    queries = []
    for face, matches in zip(found["faces"], results, strict=True):
        box = [round(float(face[c])) for c in ("x1", "y1", "x2", "y2")]
        queries.append({"title": f"face at {box} of the photo", "box": box, "matches": [_as_dict(m) for m in matches]})
    return queries


def _similar(database: Any, found: dict[str, Any], k: int) -> list[dict[str, Any]]:
    vector = np.asarray(found["embedding"], np.float32)
    matches = search_similar(database, vector, k=k)
    return [{"title": f"the photo, a {found['label']}", "matches": [_as_dict(m) for m in matches]}]


def _as_dict(match: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(match) | {"distance": round(match.distance, 4)}

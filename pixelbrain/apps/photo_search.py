"""Search by photo, or by person: the nearest to a photo's vectors, which landed, or which OUT's own model makes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ImageError, LandingError, ModuleError
from pixelbrain.identity.corrections.people import People
from pixelbrain.images.decode import decode_image
from pixelbrain.landing.forgotten.marks import read_marks
from pixelbrain.landing.registry import read_registry
from pixelbrain.record import read_record
from pixelbrain.report.search import search
from pixelbrain.schema import ModelInfo
from pixelbrain.sources import image_uri, read_bytes
from pixelbrain.stages.configured import landed_module
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.file_uri import shown_path

_COLUMNS = {
    "faces": ["distance", "identity_id", "path", "face_id"],
    "images": ["distance", "label", "label_score", "path"],
}


def search_photo(
    stages: Stages,
    photo: str,
    *,
    by: Literal["faces", "images"] = "faces",
    k: int = 20,
    embedder: str | None = None,
) -> dict[str, Any]:
    """The faces or images nearest to a photo.

    Args:
        stages: over the OUT to search.
        photo: a file, or an s3:// URI.
        by: "faces": for each face of the photo, the largest first, the nearest faces and whose they are; "images":
            the nearest images.
        k: how many.
        embedder: onnx:FILE, where the file of OUT's own embedder is not where it was.

    Returns:
        `unit` of the distances, `columns`, and `queries`: a `title` and the `matches`, nearest first, each; the `path`
        of one is the URI of what is not on disk.

    Raises:
        ImageError: the photo cannot be read.
        LandingError: OUT has no such vectors, or they are another model's.
        ModuleError: the model failed on the photo, or found no face in it.
    """
    column = "facenet" if by == "faces" else "resnet"
    if column not in stages.landing.index.modules:
        raise LandingError(
            f"{stages.storage.uri} has no {column} vectors: run `pixelbrain extract` with --module {column}"
        )
    uri = image_uri(photo)
    try:
        data = read_bytes(uri, s3_endpoint=stages.config.s3_endpoint)
        found, model = _landed(stages, column, uri, data) or _computed(stages, column, uri, data, embedder)
    except ImageError as error:
        raise type(error)(f"cannot search by {photo}: {error}") from None
    if found.get("error_type"):
        raise ModuleError(f"{column} failed on {photo}: {found['error']}")
    titles, vectors = _queries(found, by)
    with stages.database() as database:
        results: Sequence[Sequence[Any]] = search(database, vectors, by=by, model=model, k=k)
    names = read_registry(stages.storage).names if by == "faces" else {}
    queries = [
        {"title": title, "matches": [_shown(match, names) for match in matches]}
        for title, matches in zip(titles, results, strict=True)
    ]
    columns = [*_COLUMNS[by], *(["name"] if names else [])]
    return {"unit": "cosine distance, 0 to 2", "columns": columns, "queries": queries}


def _landed(stages: Stages, column: str, uri: str, data: bytes) -> tuple[dict[str, Any], ModelInfo] | None:
    """What landed of this very photo, and by which model; None: nothing to search by, or a face of it is forgotten.

    No model is loaded for it, which takes longer than all else that a search does.
    """
    landing = stages.landing
    place = np.flatnonzero(np.asarray(pc.equal(landing.index.image_id, uri)))
    for table in landing.iter_images([column], images=place):
        row, model = table.to_pylist()[0], landing.states()[column].model
        found, whole = row[column] or {}, not read_marks(stages.storage).touch(table).any()
        same = row["sha256"] == hashlib.sha256(data).hexdigest()
        if same and whole and model and (found.get("faces") or found.get("embedding")):
            return found, model
    return None


def _computed(
    stages: Stages, column: str, uri: str, data: bytes, embedder: str | None
) -> tuple[dict[str, Any], ModelInfo]:
    """What the model that made OUT's vectors says of a photo, and which it is."""
    told = read_record(stages.storage).get("settings", {}) | ({"embedder": embedder} if embedder else {})
    module = landed_module(
        column,
        stages.landing.states()[column],
        weights_dir=told.get("weights_dir"),
        offline=bool(told.get("offline")),
        told=told,
    )
    max_pixels = stages.config.max_megapixels * 1_000_000
    image = decode_image(data, image_id=uri, target=module.decode_target, max_pixels=max_pixels)
    stages.check("search")
    module.prepare()
    module.setup("cpu")
    found, model = module.run([image])[0], module.model_info()
    assert model is not None  # both modules have one
    return found, model


def search_person(stages: Stages, person: str, *, k: int = 20) -> dict[str, Any]:
    """The photos of somebody, the most typical first, as `search_photo` has them; no model and no index is asked.

    Raises:
        PeopleError: nobody, or more than one, is called so, or nobody was identified yet.
    """
    state = People(stages.landing).state()
    who = state.find(person)
    rows = state.faces.take(pa.array(state.rows_of(who)[:k], pa.int64())).to_pylist()
    name = state.registry.names.get(who)
    found = [
        {column: row[column] for column in ("face_id", "image_id", "identity_id")}
        | {"distance": None if row["distance"] is None else round(row["distance"], 4), "name": name}
        | {"path": shown_path(row["image_id"])}
        for row in rows
    ]
    title = f"{name}, {who}" if name else who
    columns = [*_COLUMNS["faces"], *(["name"] if name else [])]
    unit = "cosine distance to the person's mean, 0 to 2"
    return {"unit": unit, "columns": columns, "queries": [{"title": title, "matches": found}]}


def _shown(match: Any, names: Mapping[str, str]) -> dict[str, Any]:
    told = {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(match).items()}
    told["path"] = shown_path(match.image_id)
    return told | ({"name": names.get(match.identity_id)} if names else {})


def _queries(found: dict[str, Any], by: Literal["faces", "images"]) -> tuple[list[str], np.ndarray]:
    """What to search by, a title and a vector each: the faces, the largest first, or the whole photo."""
    if by == "images":
        rows, titles = [found], [f"the whole photo, likeliest {found['label']} ({found['label_score']:.0%})"]
    elif not found["faces"]:
        raise ModuleError("no face was found in the photo; --similar searches by the whole image")
    else:
        rows = sorted(found["faces"], key=lambda f: (f["x2"] - f["x1"]) * (f["y2"] - f["y1"]), reverse=True)
        boxes = [[round(float(face[corner])) for corner in ("x1", "y1", "x2", "y2")] for face in rows]
        titles = [f"face at {box} of the photo" for box in boxes]
    return titles, np.stack([np.asarray(row["embedding"], np.float32) for row in rows])

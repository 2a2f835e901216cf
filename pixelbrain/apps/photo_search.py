"""Search by photo, words or person: the nearest to vectors that landed, or that OUT's own model makes."""

from __future__ import annotations

import dataclasses
import functools
import gc
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ImageError, ModuleError
from pixelbrain.identity.corrections.people import People
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.landing.forgotten.marks import read_marks
from pixelbrain.landing.registry import read_registry
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.requires import resolve
from pixelbrain.record import read_record
from pixelbrain.report.search import search
from pixelbrain.schema import ModelInfo
from pixelbrain.sources import image_uri, read_bytes
from pixelbrain.stages.configured import landed_module
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.file_uri import shown_path
from pixelbrain.stores.vectors import VectorField, fields_of, landed_field

_COLUMNS = {
    "faces": ["distance", "identity_id", "path", "face_id"],
    "images": ["distance", "label", "label_score", "path"],
}
_OTHER_COLUMNS = ["distance", "path", "id"]

#: For how long a model that nobody searches by stays in memory: half a gigabyte, and seconds to load.
IDLE_S = 600.0


class Models:
    """Models that were set up for a search and stay for the next one, until none came for a while.

    Whoever uses it searches one at a time: a module is not made for several at once.

    Args:
        idle_s: for how long they stay; 0: while this is there.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s, self._turn = idle_s, threading.Lock()
        self._kept: dict[str, tuple[PipelineModule, set[str]]] = {}
        self._timer: threading.Timer | None = None

    @property
    def loaded(self) -> bool:
        """Whether any is here."""
        return bool(self._kept)

    def of(self, key: str, make: Callable[[], PipelineModule], *, set_up: bool) -> PipelineModule:
        """The module that is kept under a key, made if there is none, and set up once if it is wanted so."""
        with self._turn:
            module, done = self._kept.get(key) or (make(), set[str]())
            if set_up and not done:
                module.prepare()
                module.setup("cpu")
                done.add("set up")
            self._kept[key] = module, done
            if self._timer is not None:
                self._timer.cancel()
            if self._idle_s:
                self._timer = threading.Timer(self._idle_s, self.free)
                self._timer.daemon = True
                self._timer.start()
            return module

    def free(self) -> None:
        """Let go of them."""
        with self._turn:
            self._kept.clear()
        gc.collect()  # models have parts that know each other


def search_photo(
    stages: Stages,
    photo: str,
    *,
    by: str = "faces",
    k: int = 20,
    embedder: str | None = None,
    clip_model: str | None = None,
    module: str | None = None,
    where: str | None = None,
    models: Models | None = None,
) -> dict[str, Any]:
    """The faces, images or other vectors nearest to a photo.

    Args:
        stages: over the OUT to search.
        photo: a file, or an s3:// URI.
        by: "faces": for each face of the photo, the largest first, the nearest faces and whose they are; "images":
            the nearest images; or what a module's vectors are called, see `stores.vectors.vector_fields`.
        k: how many.
        embedder, clip_model: onnx:FILE, local-dir:DIR, where OUT's own model is not where it was.
        module: package.file:Class of a module of the user's own, where run.json does not say it.
        where: only among the images for which this is true, see `landing.where.language`.
        models: keeps what is loaded for the next search.

    Returns:
        `unit` of the distances, `columns`, and `queries`: a `title` and the `matches`, nearest first, each; the `path`
        of one is the URI of what is not on disk.

    Raises:
        ImageError: the photo cannot be read.
        ConfigError: nothing is called like `by`, or it is not known where the module is.
        LandingError: OUT has no such vectors, or they are another model's.
        ModuleError: the model failed on the photo, or found no face in it.
    """
    field, uri, images = landed_field(stages.landing, by), image_uri(photo), stages.context.choose(where)
    told = {"embedder": embedder, "clip_model": clip_model}
    try:
        data = read_bytes(uri, s3_endpoint=stages.config.s3_endpoint)
        stages.check("search")
        found, model = _landed(stages, field, uri, data) or _computed(
            stages, by, field, uri, data, told, module, models
        )
    except ImageError as error:
        raise type(error)(f"cannot search by {photo}: {error}") from None
    if found.get("error_type"):
        raise ModuleError(f"{field.module} failed on {photo}: {found['error']}")
    titles, vectors = _queries(found, field)
    return _nearest(stages, by, titles, vectors, model, k, images)


def search_text(
    stages: Stages,
    text: str,
    *,
    by: str = "clip",
    k: int = 20,
    clip_model: str | None = None,
    module: str | None = None,
    where: str | None = None,
    models: Models | None = None,
) -> dict[str, Any]:
    """The images that words fit best, as `search_photo` has them.

    Args:
        stages: over the OUT to search.
        text: what the photo is to show.
        by: whose vectors: the module's that reads texts.
        k: how many.
        clip_model: local-dir:DIR, where the folder of OUT's own model is not where it was.
        module: package.file:Class of a module of the user's own, where run.json does not say it.
        where: only among the images for which this is true, see `landing.where.language`.
        models: keeps what is loaded for the next search.

    Raises:
        ConfigError: a text that is empty or too long; or nothing is called like `by`, or it reads no texts.
        LandingError: OUT has no such vectors, or they are another model's.
        MissingExtraError, WeightsError: what reads texts is not here.
    """
    field, images = landed_field(stages.landing, by), stages.context.choose(where)
    stages.check("search")
    made = _again(stages, {"clip_model": clip_model}, module, models, set_up=False)(field.module)
    return _nearest(stages, by, [text], made.embed_texts([text]), _model(stages, by, field, made), k, images)


def _nearest(
    stages: Stages,
    by: str,
    titles: Sequence[str],
    vectors: np.ndarray,
    model: ModelInfo,
    k: int,
    images: pa.ChunkedArray | None,
) -> dict[str, Any]:
    """What is nearest to each of the vectors, to be shown; `images`: only of these."""
    with stages.database() as database:
        results: Sequence[Sequence[Any]] = search(database, vectors, by=by, model=model, k=k, images=images)
    names = read_registry(stages.storage).names if by == "faces" else {}
    queries = [
        {"title": title, "matches": [_shown(match, names) for match in matches]}
        for title, matches in zip(titles, results, strict=True)
    ]
    columns = [*_COLUMNS.get(by, _OTHER_COLUMNS), *(["name"] if names else [])]
    return {"unit": "cosine distance, 0 to 2", "columns": columns, "queries": queries}


def _landed(stages: Stages, field: VectorField, uri: str, data: bytes) -> tuple[dict[str, Any], ModelInfo] | None:
    """What landed of this very photo, and by which model; None: nothing to search by, or a face of it is forgotten.

    No model is loaded for it, which takes longer than all else that a search does.
    """
    landing, (each, _dot, name) = stages.landing, field.path.rpartition(".")
    place = np.flatnonzero(np.asarray(pc.equal(landing.index.image_id, uri)))
    for table in landing.iter_images([field.module], images=place):
        row = table.to_pylist()[0]
        found, whole = row[field.module] or {}, not read_marks(stages.storage).touch(table).any()
        same = row["sha256"] == hashlib.sha256(data).hexdigest()
        if same and whole and found.get(each or name):
            return found, field.model
    return None


def _computed(
    stages: Stages,
    by: str,
    field: VectorField,
    uri: str,
    data: bytes,
    told: Mapping[str, str | None],
    spec: str | None,
    models: Models | None,
) -> tuple[dict[str, Any], ModelInfo]:
    """What the model that made OUT's vectors says of a photo, and which it is."""
    again, states = _again(stages, told, spec, models, set_up=True), stages.landing.states()

    def made(name: str) -> dict[str, PipelineModule]:
        """The module of a column, behind those that it stands on."""
        below = {of: module for one in states[name].stands_on for of, module in made(one).items()}
        return {**below, name: again(name)}

    modules, state = made(field.module), states[field.module]
    stands_on = resolve([*modules.values()], list)[1] if state.stands_on else {}
    target = functools.reduce(DecodeTarget.union, (module.decode_target for module in modules.values()))
    max_pixels = stages.config.max_megapixels * 1_000_000
    image = decode_image(data, image_id=uri, target=target, max_pixels=max_pixels)
    said: dict[str, list[dict[str, Any]]] = {}
    for name, module in modules.items():
        said[name] = module.run([image], **{called: said[of] for called, of in stands_on.get(name, {}).items()})
    return said[field.module][0], _model(stages, by, field, modules[field.module])


def _again(
    stages: Stages, told: Mapping[str, str | None], spec: str | None, models: Models | None, *, set_up: bool
) -> Callable[[str], PipelineModule]:
    """What makes the module of a column again, or has it yet; `set_up`: ready to look at photos."""
    settings: dict[str, Any] = read_record(stages.storage).get("settings", {})
    settings |= {name: value for name, value in told.items() if value}
    if spec:
        settings |= {"modules": [*settings.get("modules", ()), spec]}
    where, offline, states = settings.get("weights_dir"), bool(settings.get("offline")), stages.landing.states()
    kept = Models(idle_s=0) if models is None else models

    def make(name: str) -> PipelineModule:
        return landed_module(name, states[name], weights_dir=where, offline=offline, told=settings)

    return lambda name: kept.of(f"{name} {states[name]!r}", functools.partial(make, name), set_up=set_up)


def _model(stages: Stages, by: str, field: VectorField, module: PipelineModule) -> ModelInfo:
    """The model of the vectors that the module makes now."""
    state = stages.landing.states()[field.module]
    now = dataclasses.replace(state, settings=module.settings(), model=module.model_info())
    return fields_of(field.module, now)[by].model


def search_person(stages: Stages, person: str, *, k: int = 20, where: str | None = None) -> dict[str, Any]:
    """The photos of somebody, the most typical first, as `search_photo` has them; no model and no index is asked.

    Raises:
        PeopleError: nobody, or more than one, is called so, or nobody was identified yet.
    """
    state = People(stages.landing).state()
    who = state.find(person)
    faces = state.faces.take(pa.array(state.rows_of(who), pa.int64()))
    if (images := stages.context.choose(where)) is not None:
        faces = faces.filter(pc.is_in(faces["image_id"], images.combine_chunks()))
    rows = faces.slice(0, k).to_pylist()
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


def _queries(found: dict[str, Any], field: VectorField) -> tuple[list[str], np.ndarray]:
    """What to search by, a title and a vector each: the whole photo, or what it has, the largest faces first."""
    each, _dot, name = field.path.rpartition(".")
    there = [row for row in ((found.get(each) or ()) if each else [found]) if row.get(name) is not None]
    rows = [row for row in there if np.isfinite(row[name]).all()]
    if field.module == "facenet" and not rows:
        raise ModuleError("no face was found in the photo; --similar searches by the whole image")
    if not rows:
        what = f"no {field.path} without a NaN" if there else f"no {field.path}"
        raise ModuleError(f"{field.module} found {what} in the photo")
    if not each:
        sure = f", likeliest {found['label']} ({found['label_score']:.0%})" if found.get("label") else ""
        titles = [f"the whole photo{sure}"]
    elif not {"x1", "y1", "x2", "y2"} <= rows[0].keys():
        titles = [f"{each} {place} of the photo" for place in range(len(rows))]
    else:
        rows = sorted(rows, key=lambda f: (f["x2"] - f["x1"]) * (f["y2"] - f["y1"]), reverse=True)
        boxes = [[round(float(face[corner])) for corner in ("x1", "y1", "x2", "y2")] for face in rows]
        titles = [f"face at {box} of the photo" for box in boxes]
    return titles, np.stack([np.asarray(row[name], np.float32) for row in rows])

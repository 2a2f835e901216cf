"""Vectors of a user's own for images that landed: a column of OUT as a module's is, and so searched and grouped by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.landing.published import publish
from pixelbrain.locks.run import RunLock

#: What the settings of such a column say, which no module's do.
STORED = {"stored": "vectors"}
_FIELD = "vector"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,50}")
_PART_ROWS = 10_000


def land_vectors(
    landing: Landing, name: str, vectors: Mapping[str, Any] | Iterable[tuple[str, Any]], *, model: str | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Land a vector of each of these images, in place of those that they have under this name.

    They are of the images as they are now: of a file that changes, as of one that is pruned, the vector goes. What is
    given, and what is raised, says `Database.store_vectors`.

    Returns:
        How many were landed; and by image_id why others were not: no such image, another length, a NaN, only zeros.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"vectors cannot be called {name!r}: small letters, digits and _, as clip_large")
    states = landing.require().newest_states()
    there = states[name][0] if name in states and states[name][0].settings == STORED else None
    for kind in ("module", "field"):  # documents in MongoDB have it, too
        schema.check_name(kind, name, modules=[] if there else states, questions=landing.answer_log.fields())
    known = (there.model if there else None) or schema.ModelInfo(model=model or name, weights_sha256="")
    if model not in (None, known.model):
        raise ConfigError(f"the vectors {name} are of {known.model}, and these of {model}: give them another name")
    dim = (there.vectors or {}).get(_FIELD) if there is not None else None
    wanted, errors = _checked(vectors, dim)
    with RunLock(landing.storage, what="store vectors"):
        landing.refresh()
        ids = landing.index.image_id
        places = np.asarray(pc.index_in(pa.array(wanted, pa.string()), ids.combine_chunks()).fill_null(-1))
        errors += [(one, "no such image has landed") for one, at in zip(wanted, places, strict=True) if at < 0]
        dim = next((len(one) for one in wanted.values() if one is not None), dim)
        if dim is not None and (places >= 0).any():
            _land(landing, name, wanted, np.sort(places[places >= 0]), replace(known, dim=dim))
            landing.refresh()
            publish(landing)
    return int((places >= 0).sum()), errors


def _land(landing: Landing, name: str, wanted: Mapping[str, Any], places: np.ndarray, model: schema.ModelInfo) -> None:
    kind = schema.module_struct([pa.field(_FIELD, schema.embedding_type(model.dim))])
    base = [field.name for field in schema.BASE_FIELDS]
    generation = claim_generation(landing.storage)
    for block, table in enumerate(landing.iter_images([], images=places, batch_rows=_PART_ROWS)):
        structs = [
            None if (vector := wanted[one]) is None else {_FIELD: vector} for one in table["image_id"].to_pylist()
        ]
        rows = table.select(base).append_column(name, pa.array(structs, kind))
        state = ModuleState(settings=dict(STORED), model=model)
        landing.write_part(rows, generation=generation, block=block, piece=0, modules={name: state})


def _checked(
    vectors: Mapping[str, Any] | Iterable[tuple[str, Any]], dim: int | None
) -> tuple[dict[str, np.ndarray | None], list[tuple[str, str]]]:
    """float32 (dim,) of each image, or None; and what is none."""
    found: dict[str, np.ndarray | None] = {}
    errors: list[tuple[str, str]] = []
    for image_id, value in vectors.items() if isinstance(vectors, Mapping) else vectors:
        if value is None:
            found[image_id] = None
            continue
        try:
            vector = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            errors.append((image_id, f"its vector is no list of numbers: {value!r:.40}"))
            continue
        if vector.ndim != 1 or not vector.size:
            errors.append((image_id, f"its vector has the shape {vector.shape}: one row of numbers"))
        elif dim is not None and len(vector) != dim:
            errors.append((image_id, f"its vector has {len(vector)} numbers, and others {dim}"))
        elif not np.isfinite(vector).all() or not vector.any():
            errors.append((image_id, "its vector has a NaN or an infinity, or only zeros"))
        else:
            dim = len(vector)
            found[image_id] = vector
    return found, errors

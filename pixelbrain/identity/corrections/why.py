"""Why a face is whose it is: what was found and said, the nearest faces and people, and the reason it is nobody's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.identity.corrections.faces import BOX
from pixelbrain.identity.corrections.state import State, called
from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.identity.quality.pose import measured, turns
from pixelbrain.landing.registry import Registry
from pixelbrain.storage.file_uri import shown_path

_ROWS_AT_ONCE = 20_000  # of vectors
_HOW = {
    "clustered": "alike enough to the others of its person",
    "late": "a little beyond the threshold, and clearly nearest to this person",
    "single": "good enough to be compared, and like too few others",
    "by_hand": "somebody said so",
    "removed": "somebody said that it is nobody's",
    "rejected": "somebody said that it is no face",
}


def explain(state: State, face_id: str, *, k: int = 5) -> dict[str, Any]:
    """Why an identified face is whose it is; of nearest faces and people, `k` each. `state` is one with sums.

    Returns:
        `face_id`, `path`, `identity_id`, `name`, `assigned`, `why` in words, `distance` (cosine, to its person's mean),
        `threshold` (cosine similarity), the correction `event` that decided, `nearest_faces` and `nearest_people` with
        their `distance`s (0 to 2), nearest first. Without landed vectors nothing is near.

    Raises:
        PeopleError: no such face.
    """
    row = state.rows([face_id])[0]
    known = state.registry
    told = state.faces.slice(row, 1).to_pylist()[0]
    claim = state.said.get(row)
    who = state.person[row]
    mine = state.vectors(np.array([row]))
    has_vector = bool(mine.shape[1]) and bool(np.isfinite(mine).all())
    why = _HOW.get(told["assigned"], told["assigned"])
    if told["assigned"] == "gated":
        why = _gated(state, told)
    return {
        "face_id": face_id,
        "path": shown_path(told["image_id"]),
        "box": [told[name] for name in BOX],
        "identity_id": who,
        "name": known.names.get(who) if who else None,
        "assigned": told["assigned"],
        "why": why,
        "distance": told["distance"],
        "threshold": threshold_of(known, who),
        "event": str(claim.event) if claim is not None and claim.explicit else None,
        "nearest_faces": _nearest_faces(state, row, mine[0], k) if has_vector else [],
        "nearest_people": nearest_people(known, mine[0], k) if has_vector else [],
    }


def nearest_people(known: Registry, vector: np.ndarray, k: int, but: str | None = None) -> list[dict[str, Any]]:
    """The people whose means are nearest to a unit vector: `identity_id`, `name`, `distance` (cosine, 0 to 2)."""
    ids, directions, _counts = means(known)
    if not len(ids) or directions.shape[1] != len(vector):
        return []
    distance = 1 - directions @ vector
    order = [at for at in np.argsort(distance, kind="stable").tolist() if ids[at] != but][:k]
    return [
        {"identity_id": ids[at], "name": known.names.get(ids[at]), "distance": round(float(distance[at]), 4)}
        for at in order
    ]


def means(known: Registry) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of people whose vectors are known: ids; float32 (p, d), the directions of their means; int64 (p,), faces."""
    table = known.table.filter(pc.and_(pc.is_valid(known.table["sum"]), pc.greater(known.table["n_faces"], 0)))
    lengths = pc.list_value_length(table["sum"]).to_numpy()
    if len(lengths) and (lengths != lengths[-1]).any():  # of two embedders, while one of them is new
        table = table.filter(pa.array(lengths == lengths[-1]))
    sums = np.asarray(pc.list_flatten(table["sum"]), np.float32).reshape(len(table), -1) if len(table) else None
    if sums is None:
        return [], np.empty((0, 0), np.float32), np.empty(0, np.int64)
    directions = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.float32(1e-12))
    return table["identity_id"].to_pylist(), directions, table["n_faces"].to_numpy()


def threshold_of(known: Registry, who: str | None = None) -> float | None:
    """The cosine similarity by which a person, or anybody, was found last; None: it is not known."""
    settings = known.table["settings"]
    told = settings[known.place[who]].as_py() if who in known.place else None
    told = told or next((one for one in reversed(settings.to_pylist()) if one), None)
    return json.loads(told).get("threshold") if told else None


def _nearest_faces(state: State, row: int, vector: np.ndarray, k: int) -> list[dict[str, Any]]:
    distance = np.full(len(state.faces), np.inf, np.float32)
    for start in range(0, len(distance), _ROWS_AT_ONCE):
        some = np.arange(start, min(start + _ROWS_AT_ONCE, len(distance)))
        units = state.vectors(some)
        if units.shape[1] == len(vector):
            distance[some] = np.nan_to_num(1 - units @ vector, nan=np.inf)
    distance[row] = np.inf
    order = [at for at in np.argsort(distance, kind="stable")[:k].tolist() if np.isfinite(distance[at])]
    rows = state.faces.select(["face_id", "image_id", "identity_id", "assigned"]).take(pa.array(order, pa.int64()))
    return [
        {
            "face_id": one["face_id"],
            "path": shown_path(one["image_id"]),
            "distance": round(float(distance[at]), 4),
            "identity_id": one["identity_id"],
            "name": state.registry.names.get(one["identity_id"]),
            "assigned": one["assigned"],
        }
        for at, one in zip(order, rows.to_pylist(), strict=True)
    ]


def _gated(state: State, told: dict[str, Any]) -> str:
    """What of a face was not good enough, in a word each, with its numbers."""
    known: dict[str, Any] = {"width_px": told["x2"] - told["x1"]}
    place = pc.index_in(pa.array([told["image_id"]]), state.landing.index.image_id.combine_chunks())
    for table in state.landing.iter_images(["facenet"], vectors=False, images=np.asarray(place.drop_null(), np.int64)):
        struct = table["facenet"].combine_chunks()
        faces = pc.list_flatten(pc.struct_field(struct, "faces"))
        for row, face in enumerate(faces.to_pylist()):
            if face["face_id"] == told["face_id"]:
                known |= {name: face.get(name) for name in ("score", "sharpness")}
                known |= {name: values[row] for name, values in measured(faces, turns(struct)).items()}
    reasons = [f"{word}: {sentence}" for word, sentence in QualityGate().failures(known)]
    return "; ".join(reasons) or "not good enough to be compared, by another gate than this"


def described(found: dict[str, Any], known: Registry) -> list[str]:
    """What `explain` found, for people."""
    whose = called(known, found["identity_id"]) if found["identity_id"] else "nobody's"
    lines = [f"face      {found['face_id'].rpartition('/')[2]}", f"photo     {found['path']}", f"whose     {whose}"]
    lines.append(f"why       {found['assigned']}: {found['why']}")
    if found["event"]:
        lines.append(f"          {found['event']}")
    if found["distance"] is not None:
        lines.append(f"distance  {found['distance']:.3f} to the mean of its person")
    if found["threshold"] is not None:
        lines.append(
            f"threshold {1 - found['threshold']:.3f}, as a distance between two faces of a person, in the mean"
        )
    for title, key in (("nearest   faces", "nearest_faces"), ("          people", "nearest_people")):
        if found[key]:
            lines.append(title)
        for one in found[key]:
            who = one["name"] or one["identity_id"] or one.get("assigned") or ""
            lines.append(f"  {one['distance']:.3f}   {who:<24} {one.get('path', '')}".rstrip())
    return lines


def about(state: State, person: str, *, k: int = 20) -> dict[str, Any]:
    """A person: `identity_id`, `name`, `hidden`, `n_faces`, `n_images`, `ids` that lead to it, `faces`, who is near.

    Of the `faces` there are `k`, nearest to the mean first, each with `face_id`, `path`, `distance`, `assigned` and
    `box`. `state` is one with sums.
    """
    known = state.registry
    rows = state.rows_of(person)
    mine = state.faces.take(pa.array(rows, pa.int64()))
    ids, directions, _counts = means(known)
    near = nearest_people(known, directions[ids.index(person)], 5, but=person) if person in ids else []
    return {
        "identity_id": person,
        "name": known.names.get(person),
        "hidden": person in known.hidden,
        "n_faces": len(rows),
        "n_images": pc.count_distinct(mine["image_id"]).as_py(),
        "ids": [one for one in known.ids if one != person and known.current(one) == person],
        "threshold": threshold_of(known, person),
        "faces": [
            {
                "face_id": row["face_id"],
                "path": shown_path(row["image_id"]),
                "distance": row["distance"],
                "assigned": row["assigned"],
                "box": [row[name] for name in BOX],
            }
            for row in mine.slice(0, k).to_pylist()
        ],
        "nearest_people": near,
    }


def described_person(found: dict[str, Any]) -> list[str]:
    """What `about` found, for people."""
    name = f"{found['name']}, " if found["name"] else ""
    lines = [f"{name}{found['identity_id']}{', hidden' if found['hidden'] else ''}"]
    lines.append(f"{found['n_faces']:,} faces in {found['n_images']:,} photos")
    if found["ids"]:
        lines.append(f"also      {', '.join(found['ids'])}")
    if found["nearest_people"]:
        lines.append("near      distance between the means")
    lines += [f"  {one['distance']:.3f}   {one['name'] or one['identity_id']}" for one in found["nearest_people"]]
    lines.append("faces     distance to the mean, how it was found, face_id")
    for face in found["faces"]:
        distance = "    -" if face["distance"] is None else f"{face['distance']:.3f}"
        lines.append(f"  {distance}   {face['assigned']:<10} {face['face_id']}")
    if len(found["faces"]) < found["n_faces"]:
        lines.append(f"  and {found['n_faces'] - len(found['faces']):,} more: -k")
    return lines

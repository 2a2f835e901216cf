"""What is in OUT: images, failures by kind, faces, people, and whether the stores are in step with Parquet."""

from __future__ import annotations

import collections
from typing import Any

import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.stages.stages import Stages

_DONE = {"identify": "people were found", "group": "groups were made"}


def read_status(stages: Stages) -> dict[str, Any]:
    """Count what has landed, and compare the stores with it.

    Returns:
        `images`, `failed`, `failures` by kind, `faces`, `people`, `assigned_faces`, `groups`, `outdated` (by the
        command that is to be run again: rows that no longer fit, and faces or images that it has not seen), `models`,
        and `stores`: `in_step` (None: could not be asked), `reasons` and `counts`.
    """
    from pixelbrain.stores.in_step import store_state

    found = _landed(stages.landing)
    try:
        with stages.database() as database:
            found["stores"] = store_state(stages.landing, database).as_dict()
    except StoreError as error:
        found["stores"] = {"in_step": None, "reasons": [str(error)]}
    return found


def describe(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"images    {found['images']:,}, {found['failed']:,} failed"]
    lines += [f"          {count:,} x {kind}" for kind, count in found["failures"].items()]
    lines += [f"models    {column}: {model['model']}" for column, model in found["models"].items()]
    if found["faces"] is not None:
        lines.append(f"faces     {found['faces']:,}")
    if found["people"] is not None:
        lines.append(f"people    {found['people']:,} in {found['assigned_faces']:,} faces")
    if found["groups"] is not None:
        lines.append(f"groups    {found['groups']:,}")
    for stage, counts in found["outdated"].items():
        since = f"{counts['missing']:,} came or changed since {_DONE[stage]}, {counts['stale']:,} went or changed"
        lines.append(f"          {since}: `pixelbrain {stage}` again")
    stores = found["stores"]
    if stores["in_step"]:
        counts = stores["counts"]
        lines.append(
            f"stores    in step: {counts['documents']:,} documents in MongoDB, "
            f"{counts['images'] + counts['faces']:,} vectors in ChromaDB"
        )
    else:
        step = "not asked" if stores["in_step"] is None else "out of step, run `pixelbrain load`"
        lines += [f"stores    {step}: {reason}" for reason in stores["reasons"]]
    return lines


def _landed(landing: Landing) -> dict[str, Any]:
    failures: collections.Counter[str] = collections.Counter()
    failed, faces = 0, None
    for table in landing.iter_images(vectors=False):
        bad = pc.not_equal(table["status"], schema.Status.OK.value)
        failures.update(table["error_type"].filter(bad).to_pylist())
        for name in landing.index.modules:
            kinds = pc.struct_field(table[name], "error_type")
            failures.update(f"{name}: {kind}" for kind in kinds.to_pylist() if kind)
            bad = pc.or_(bad, pc.is_valid(kinds))
        failed += pc.sum(bad).as_py() or 0
        if "facenet" in landing.index.modules:
            faces = (faces or 0) + (pc.sum(pc.struct_field(table["facenet"], "n_faces")).as_py() or 0)
    people, grouped = landing.derived_state("identities"), landing.derived_state("groups")
    identities, groups = people.rows, grouped.rows
    return {
        "images": landing.count_images(),
        "failed": failed,
        "failures": dict(failures.most_common()),
        "models": {name: model.as_dict() for name, model in landing.models().items()},
        "faces": faces,
        "people": None if identities is None else pc.count_distinct(identities["identity_id"]).as_py(),
        "assigned_faces": None if identities is None else pc.count(identities["identity_id"]).as_py(),
        "groups": None if groups is None else pc.count_distinct(groups["group_id"]).as_py(),
        "outdated": {
            stage: {"stale": found.stale, "missing": found.missing}
            for stage, found in (("identify", people), ("group", grouped))
            if found.outdated
        },
    }

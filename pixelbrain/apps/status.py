"""What is in OUT: images, failures by kind, faces, people, and whether the stores are in step with Parquet."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import StoreError
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.published import is_published
from pixelbrain.landing.reader import scan_columns
from pixelbrain.stages.stages import Stages

_DONE = {"identify": "people were found", "group": "groups were made"}


_FACES = "facenet"


def read_status(stages: Stages) -> dict[str, Any]:
    """Count what has landed, and compare the stores with it.

    Returns:
        `images`, `failed`, `failures` by kind, `faces`, `people`, `assigned_faces`, `groups`, `outdated` (by the
        command that is to be run again: rows that no longer fit, and faces or images that it has not seen), `models`,
        `published` (False: programs that read OUT/images or OUT/faces may see rows twice, or old ones), and
        `stores`: `in_step` (None: could not be asked), `reasons` and `counts`; of embedded stores by what the last load
        wrote down (`recorded`): none is started.
    """
    from pixelbrain.stores.in_step import recorded_state, store_state

    landing = stages.landing
    found = _landed(landing) | {"published": is_published(landing)}
    try:
        with stages.database() as database:
            found["stores"] = (recorded_state(landing, database) or store_state(landing, database)).as_dict()
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
    if not found.get("published", True):
        lines.append(
            "tables    images/ and faces/ may hold rows twice, or old ones, for other programs: a command is at work, "
            "or was killed, and `pixelbrain compact` makes them right"
        )
    for stage, counts in found["outdated"].items():
        since = f"{counts['missing']:,} came or changed since {_DONE[stage]}, {counts['stale']:,} went or changed"
        lines.append(f"          {since}: `pixelbrain {stage}` again")
    stores = found["stores"]
    if stores["in_step"]:
        counts = stores["counts"]
        vectors = counts["images"] + counts["faces"] + sum(counts.get("modules", {}).values())
        lines.append(
            f"stores    in step: {counts['documents']:,} documents in MongoDB, "
            f"{vectors:,} vectors in ChromaDB{', by its last load' * stores['recorded']}"
        )
    else:
        step = "not asked" if stores["in_step"] is None else "out of step, run `pixelbrain load`"
        lines += [f"stores    {step}: {reason}" for reason in stores["reasons"]]
    return lines


def _landed(landing: Landing) -> dict[str, Any]:
    failures: collections.Counter[str] = collections.Counter()
    bad, faces = np.zeros(landing.count_images(), bool), None
    index = landing.index
    columns = {"": (index.part, index.row), **index.modules}
    wanted = ["status", "error_type"]
    # of each module where its newest rows are, by part: a pass over a few narrow columns, and no image's row is made
    images = {name: np.argsort(part, kind="stable") for name, (part, _row) in columns.items()}
    for number, (part, table) in enumerate(
        scan_columns(index.parts, lambda part: [*wanted, *(leaf for name in part.modules for leaf in _leaves(name))])
    ):
        for name in ("", *part.modules):
            of, row = columns[name]
            start, stop = np.searchsorted(of, [number, number + 1], sorter=images[name])
            about = images[name][start:stop]
            rows = table.take(pa.array(row[about]))
            kinds = pc.struct_field(rows[name], "error_type") if name else rows["error_type"]
            wrong = pc.is_valid(kinds) if name else pc.not_equal(rows["status"], schema.Status.OK.value)
            bad[about[np.asarray(wrong)]] = True
            prefix = f"{name}: " if name else ""
            failures.update(f"{prefix}{kind}" for kind in kinds.filter(wrong).to_pylist())
            if name == _FACES:
                faces = (faces or 0) + (pc.sum(pc.struct_field(rows[name], "n_faces")).as_py() or 0)
    people, grouped = IDENTITIES.read(landing), GROUPS.read(landing)
    identities, groups = people.rows, grouped.rows
    return {
        "images": landing.count_images(),
        "failed": int(bad.sum()),
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


def _leaves(module: str) -> list[str]:
    return [f"{module}.error_type", *([f"{module}.n_faces"] if module == _FACES else [])]

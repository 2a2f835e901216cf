"""An image with all that is known of it, as values that JSON has: what the formats are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.digests import digest_ids, first_of_runs
from pixelbrain.landing.faces import FINDER, face_results
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.report.labels import shown_from
from pixelbrain.storage.file_uri import shown_path

_IDENTITY = ("identity_id", "distance", "assigned")
_WHOSE = [field.name for field in schema.WHOSE_FIELDS]
_ERRORS = [field.name for field in schema.ERROR_FIELDS]


class Contents(NamedTuple):
    """What is known of one image."""

    number: int  # see `image_numbers`
    base: dict[str, Any]  # `schema.BASE_FIELDS`, by name
    path: str  # on disk, or its URI where it is elsewhere
    label: str | None  # where it is likely enough
    # as they landed, each with a name, whose it is, as identities have it, and by module what it says of it
    faces: list[dict[str, Any]]
    group_id: str | None
    fields: dict[str, dict[str, Any]]  # by module, without faces and vectors
    answers: dict[str, Any]  # by field, those that there are

    @property
    def failed(self) -> bool:
        """Whether the image could not be read."""
        return bool(self.base["status"] != schema.Status.OK)


def iter_contents(
    landing: Landing, min_label_score: float | None = None, images: pa.ChunkedArray | None = None
) -> Iterator[Contents]:
    """Every image once, or each of those with these ids, in the order of the listing.

    Numbers are the shortest that float32 tells apart; NaN is None.

    Raises:
        LandingError: OUT cannot be read.
        ConfigError: `min_label_score` is no probability.
    """
    least, names = shown_from(landing, min_label_score), read_registry(landing.storage).names
    people, groups = IDENTITIES.read(landing).rows, GROUPS.read(landing).rows
    places, lookers = np.arange(landing.count_images()), face_results(landing.index)
    if images is not None:
        places = np.flatnonzero(np.asarray(pc.is_in(landing.index.image_id, images.combine_chunks())))
    numbers, base = (
        iter(image_numbers(landing.index.image_id)[places].tolist()),
        [field.name for field in schema.BASE_FIELDS],
    )
    for table in landing.iter_images(vectors=False, images=places):
        rows = table.to_pylist()
        found = [face["face_id"] for row in rows for face in (row.get(FINDER) or {}).get("faces") or ()]
        whose = dict(zip(found, _rows(people, "face_id", found, _IDENTITY), strict=True))
        alike = _rows(groups, "image_id", [row["image_id"] for row in rows], ("group_id",))
        for row, group in zip(rows, alike, strict=True):
            row = {name: plain(value) for name, value in row.items()}
            fields = {name: row[name] for name in row.keys() - {*base, *landing.answers} if row[name] is not None}
            faces = fields.get(FINDER, {}).pop("faces", None) or []
            said = {name: fields[name].pop("faces", None) or [] for name in lookers.keys() & fields.keys()}
            faces = [
                face | {"name": names.get(who["identity_id"] or "")} | plain(who) | _said(face, said)
                for face in faces
                for who in [whose[face["face_id"]]]
            ]
            best = fields.get("resnet") or {}
            yield Contents(
                number=next(numbers),
                base={name: row[name] for name in base},
                path=shown_path(row["image_id"]),
                label=best.get("label") if (best.get("label_score") or 0.0) >= plain(least) else None,
                faces=faces,
                group_id=group["group_id"],
                fields={name: _without_errors(fields[name]) for name in sorted(fields)},
                answers={
                    field: row[field]["answer"]
                    for field in sorted(landing.answers)
                    if row.get(field) and row[field]["answer"] is not None
                },
            )


def image_numbers(ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """int64 (n,): of each image a number of its own, made of its id: the same in every export, whatever else is there.

    From 1 to 2^53, as far as JavaScript counts. Two that would get the same (among a million images: one time in
    20,000) get the next ones.
    """
    numbers = np.maximum((digest_ids(ids)[:, 0] >> np.uint64(11)).astype(np.int64), 1)
    while True:
        order = np.argsort(numbers, kind="stable")
        again = order[~first_of_runs(numbers[order])]
        if not len(again):
            return numbers
        numbers[again] += 1


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN, and 0.93 for the float32 that is 0.9300000071525574 as a double."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        with np.errstate(over="ignore"):  # a double that is larger than they get
            single = np.float32(value)
        return float(str(single)) if float(single) == value else value
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int) else str(value)


def _said(face: dict[str, Any], said: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """By module, what it says of a face; an id alone says little: after another detection it may be another face's."""
    return {
        name: {field: value for field, value in one.items() if field not in _WHOSE}
        for name, faces in sorted(said.items())
        for one in faces
        if all(one[field] == face[field] for field in _WHOSE)
    }


def _rows(table: pa.Table | None, key: str, ids: list[str], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The columns of a later stage's table for each id; None where it has no row."""
    if table is None:
        return [dict.fromkeys(columns)] * len(ids)
    place = pc.index_in(pa.array(ids, pa.string()), table[key].combine_chunks())
    return table.select(columns).take(place).to_pylist()


def _without_errors(fields: dict[str, Any]) -> dict[str, Any]:
    """A module's fields; its error only where it failed."""
    failed = any(fields.get(name) is not None for name in _ERRORS)
    return fields if failed else {name: value for name, value in fields.items() if name not in _ERRORS}

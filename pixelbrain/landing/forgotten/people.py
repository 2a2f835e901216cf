"""Take forgotten faces out of what is known of people for life: their exemplars, sums and names, and corrections.

Corrections stay, so that what they say of others is replayed as before; of forgotten faces they name none any more.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.forgotten.marks import ROW_IDS, Marks, photo_keys
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry, write_registry

#: One JSON file a correction; what is in them, `identity.corrections.events` knows.
_EVENTS = "people/events"
_SNAPSHOT = f"{_EVENTS}.snapshot"  # what they said when it was written


def erase_from_registry(landing: Landing, kept: pa.Table, gone: pa.Table) -> None:
    """Write the people of OUT again, before these rows of identities are gone; the others are kept.

    Of who lost a face, the sum of its vectors goes, which the next `identify` adds up again, and its exemplars in
    photos that are touched; of who has no face any more, and of who was found to be the same, the name as well.
    """
    lost = set(gone["identity_id"].drop_null().to_pylist())
    known = read_registry(landing.storage, sums=True)
    if not lost or not known.ids:
        return
    counts = {row["values"]: row["counts"] for row in pc.value_counts(kept["identity_id"]).to_pylist()}
    faces = set(gone["face_id"].to_pylist())
    rows = known.table.to_pylist()
    for row in rows:
        who = known.current(row["identity_id"])
        if who in lost:
            row["sum"] = None
            row["exemplars"] = [one for one in row["exemplars"] or () if one["face_id"] not in faces]
            row["n_faces"] = counts.get(row["identity_id"], 0)
            if who not in counts:
                row |= {"name": None, "exemplars": None}
    write_registry(landing, pa.Table.from_pylist(rows, schema.PERSON_SCHEMA))


def erase_from_events(landing: Landing, marks: Marks) -> int:
    """Take forgotten faces out of corrections, and the name that somebody was given who has no other face there."""
    written = 0
    landing.storage.delete(_SNAPSHOT)
    for name in landing.storage.names(_EVENTS):
        told = json.loads(landing.storage.read(f"{_EVENTS}/{name}") or b"{}")
        faces = {person: [ref for ref in refs if not _is_gone(marks, ref)] for person, refs in _faces(told).items()}
        if faces == _faces(told):
            continue
        if told.get("name") and not faces.get(told.get("person")):
            told["name"] = ""
        told["faces"] = {person: refs for person, refs in faces.items() if refs}
        landing.storage.write(f"{_EVENTS}/{name}", (json.dumps(told, indent=1) + "\n").encode())
        written += 1
    return written


def _faces(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return told.get("faces", {})


def _is_gone(marks: Marks, ref: dict[str, Any]) -> bool:
    row = pa.Table.from_pylist([{name: ref.get(name) for name in ROW_IDS.names}], ROW_IDS)
    return bool(marks.hold_photos(row)[0]) or marks.hold_faces(photo_keys(row), [ref["box"]])[0]

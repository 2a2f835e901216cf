"""What a person, a face or a photo is in OUT: what is to be marked as forgotten, and how much of it there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.forgotten.marks import ROW_IDS, FaceMark, Mark, digest_places, photo_keys
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.reader import scan_columns
from pixelbrain.landing.registry import read_registry
from pixelbrain.storage.file_uri import absolute, path_to_uri

_MODULE = "facenet"
_PLACE = pa.schema([("image_id", pa.string()), ("version", pa.string())])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be forgotten."""

    mark: Mark
    lines: tuple[str, ...]  # what that is, for people
    faces: int = 0
    photos: int = 0  # whose rows go, copies of them included


def select_faces(landing: Landing, *, person: str | None = None, faces: Sequence[str] = ()) -> Selection:
    """The faces of a person, by its identity_id, the beginning of one, or its name; and faces by face_id.

    Raises `ConfigError` where there is none such, and `LandingError`.
    """
    wanted, lines = set(faces), [f"the face {one}" for one in faces]
    if person is not None:
        who, mine = _faces_of(landing, person)
        wanted |= mine
        lines.insert(0, f"{who}, who has {len(mine):,} faces")
    marks: list[FaceMark] = []
    for face_id, mark in _marks(landing, wanted):
        wanted.discard(face_id)
        marks.append(mark)
    if wanted:
        raise ConfigError(
            f"no face {min(wanted)!r} has landed in {landing.storage.uri}: `pixelbrain export OUT - --table faces` "
            "lists all"
        )
    photos = {mark.photo for mark in marks}
    copies = sum(map(len, _scan(landing, "sha256", photos))) - len(photos)
    lines.append(f"vectors, boxes, crops and names of {len(marks):,} faces, in {len(photos):,} photos, which stay")
    if copies > 0:
        lines.append(f"and the same faces in {copies:,} more rows: copies of these photos, or older rows about them")
    return Selection(mark=Mark(faces=tuple(marks)), lines=tuple(lines), faces=len(marks))


def _faces_of(landing: Landing, person: str) -> tuple[str, set[str]]:
    """What a person is called, and its faces."""
    table, known = IDENTITIES.rows(landing), read_registry(landing.storage)
    ids = sorted(set(table["identity_id"].drop_null().to_pylist()))
    exact = [known.current(person)] if known.current(person) in ids else []
    named = [one for one in known.named(person) if one in ids]
    found = exact or named or [one for one in ids if person and one.startswith(person)]
    if len(found) != 1:
        why = f"{len(found)} people are called {person!r}, or begin so" if found else f"there is no person {person!r}"
        raise ConfigError(f"{why} in {landing.storage.uri}: `pixelbrain export OUT - --table people` lists all")
    who = found[0]
    called = f"{known.names[who]} ({who})" if who in known.names else who
    return called, set(table.filter(pc.equal(table["identity_id"], who))["face_id"].to_pylist())


def _marks(landing: Landing, face_ids: Collection[str]) -> Iterator[tuple[str, FaceMark]]:
    """Where these faces are."""
    if not face_ids or _MODULE not in landing.index.modules:
        return
    images = pa.array(sorted({one.rpartition("#")[0] for one in face_ids}), pa.string())
    at = np.sort(np.asarray(pc.index_in(images, landing.index.image_id.combine_chunks()).drop_null()))
    for table in landing.iter_images([_MODULE], vectors=False, images=at):
        for photo, column in zip(photo_keys(table), table[_MODULE].to_pylist(), strict=True):
            for face in (column or {}).get("faces") or ():
                if face["face_id"] in face_ids:
                    yield face["face_id"], FaceMark.of(photo, [face[one.name] for one in schema.BOX_FIELDS])


def select_photos(landing: Landing, photos: Sequence[str]) -> Selection:
    """All rows of photos, named by image_id or path, and of their copies: photos of the same bytes.

    Raises `ConfigError` where there is none such, and `LandingError`.
    """
    names = [_image_id(landing, one) for one in photos]
    now = dict(zip(landing.index.image_id.to_pylist(), landing.index.version.to_pylist(), strict=True))
    own = pa.concat_tables(_scan(landing, "image_id", names))
    hashes = set(_current(own, now)["sha256"].drop_null().to_pylist())  # at this name there were others before, perhaps
    same = pa.concat_tables(_scan(landing, "sha256", hashes))
    copies = sorted(set(_current(same, now)["image_id"].to_pylist()) - set(names))
    rows = pa.concat_tables([own, same, *_scan(landing, "image_id", copies)])
    places = sorted({*digest_places(rows), *digest_places(_answered(landing, rows))})
    lines = [f"all that is known of {name}" for name in names]
    lines += [f"and of {name}, which has the same bytes" for name in copies]
    lines.append("the files themselves stay where they are")
    mark = Mark(photos=tuple(sorted(hashes)), places=tuple(places))
    return Selection(mark=mark, lines=tuple(lines), photos=len(names) + len(copies))


def _image_id(landing: Landing, name: str) -> str:
    """As it landed."""
    tried = dict.fromkeys((name, path_to_uri(absolute(name))))
    for table in _scan(landing, "image_id", list(tried)):
        for one in table["image_id"].to_pylist():
            return one
    raise ConfigError(
        f"no photo {name!r} has landed in {landing.storage.uri}: `pixelbrain export OUT - --table images` lists all"
    )


def _current(rows: pa.Table, now: dict[str, str]) -> pa.Table:
    """The rows about what an image is now; of one that was pruned, all."""
    pairs = zip(rows["image_id"].to_pylist(), rows["version"].to_pylist(), strict=True)
    return rows.filter(pa.array([now.get(name, version) == version for name, version in pairs], pa.bool_()))


def _answered(landing: Landing, rows: pa.Table) -> pa.Table:
    """Other names and versions under which there are answers about these images: answers of the same key."""
    mine = set(zip(rows["image_id"].to_pylist(), rows["version"].to_pylist(), strict=True))
    by_key: dict[str, set[tuple[str, str]]] = {}
    for record in landing.answer_log.records():
        if record["key"]:
            by_key.setdefault(record["key"], set()).add((record["image_id"], record["version"]))
    found = sorted(set().union(*(places for places in by_key.values() if places & mine)))
    return pa.table([[pair[at] for pair in found] for at in (0, 1)], schema=_PLACE)


def _scan(landing: Landing, column: str, values: Collection[str]) -> Iterator[pa.Table]:
    """Of all rows, also of those that newer ones replaced, image_id, version and sha256 of those with these values."""
    yield ROW_IDS.empty_table()
    wanted = pa.array([*values], pa.string())
    for _part, table in scan_columns(landing.parts, lambda _: ROW_IDS.names) if len(wanted) else ():
        yield table.filter(pc.is_in(table[column], wanted)).cast(ROW_IDS)

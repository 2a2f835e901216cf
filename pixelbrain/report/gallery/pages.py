"""The gallery: which pages there are, and what stands on each."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pixelbrain.config import MAX_MEGAPIXELS
from pixelbrain.errors import LandingError
from pixelbrain.landing.duplicates.choices import CHOICES
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery import names
from pixelbrain.report.gallery.items import Album, Library, Person, Photo
from pixelbrain.report.gallery.originals import OriginalReader
from pixelbrain.report.gallery.reader import read_library
from pixelbrain.report.gallery.site import UNSURE_PATH, Links, Site, claim, is_made_of, page_path
from pixelbrain.report.gallery.thumbnails import make_thumbnails
from pixelbrain.sources import read_bytes

logger = logging.getLogger(__name__)

#: Items a page: cards, tiles, rows. A browser lays such a page out in a fraction of a second.
_PHOTOS, _TILES, _FACES, _FAILURES = 200, 200, 500, 500
_DUPLICATES, _COPIES = 40, 12  # groups, and photos of each: of a larger one, the export has all

#: What the index shows of each before it links to the rest: it stays small however large the library is.
_ON_INDEX = {"people": 36, "labels": 24, "groups": 12, "photos": 24, "unassigned": 48, "failures": 20, "strip": 40}


#: Why a face has no identity, by what `schema.IDENTITY_SCHEMA` calls it.
_WHY_UNASSIGNED = {
    "single": "like too few others",
    "gated": "too small, blurred, uncertain, turned away or covered",
    "removed": "nobody's, as somebody said",
}


class _Figure(NamedTuple):
    key: str
    name: str
    amount: int
    path: str | None = None


class _Stage(NamedTuple):
    name: str
    seconds: float | None
    images_per_s: float | None


def build_gallery(
    landing: Landing,
    *,
    out: Path | None = None,
    s3_endpoint: str | None = None,
    max_megapixels: int = MAX_MEGAPIXELS,
    min_label_score: float | None = None,
    run: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a static gallery of what was landed: pages without script, to be opened from disk, without a network.

    Of an OUT that is as it was for the last report nothing is read, and nothing written. Of another one, pages that
    would be the same stay as they are, and so do thumbnails while their photos are the same. Lists have pages, of 200
    cards or tiles or 500 faces at most. Memory: see `reader.read_library`.

    Args:
        landing: the landed tables.
        out: the report's folder; default `landing.storage.local / "report"`.
        s3_endpoint: of the S3 server that s3:// photos are read from, if it is not AWS.
        max_megapixels: photos of which more would be in memory at once have no thumbnail.
        min_label_score: the least probability of a label that is shown as such; the classifier's own by default, see
            `report.labels`. The other photos are under Unsure.
        run: what `OUT/run.json` holds. Of it are shown: `settings.source`, and of each of `stages` its `seconds`,
            `images_per_s` (or `images` by `seconds`) and `finished` (ISO 8601); what is absent is left out.
        progress: called with (done, total) photos while thumbnails are made.

    Returns:
        The path of index.html.

    Raises:
        ConfigError: `out` holds files that are not a report's; `min_label_score` is no probability.
        LandingError: the landed tables cannot be read, or `out` cannot be written.
    """
    out = landing.storage.local / "report" if out is None else Path(out)
    try:
        claim(out)
        made_of = _made_of(landing, run or {}, min_label_score)
        if not is_made_of(out, made_of):
            library = read_library(landing, out, min_label_score=min_label_score)
            read = OriginalReader(functools.partial(read_bytes, s3_endpoint=s3_endpoint))
            limit = max_megapixels * 1_000_000
            missing = make_thumbnails(
                library.photos, out, landing.storage, read=read, max_pixels=limit, progress=progress
            )
            if missing:
                logger.warning("%d thumbnails could not be made: their photos cannot be read any more", len(missing))
            _write_pages(out, library, missing, run or {}, made_of)
        return out / "index.html"
    except OSError as error:  # originals that cannot be read are placeholders: this is about what is written
        raise LandingError(f"cannot write the gallery to {out}: {error.strerror or error}") from error


def _made_of(landing: Landing, run: Mapping[str, Any], min_label_score: float | None) -> str:
    """Changes when a file does of which the gallery shows anything: a listing tells, and nothing is read."""
    answers = (f"answers/{name}" for name in landing.answer_log.fields())
    folders = ("images", "identities", "people", "groups", "duplicates", CHOICES, *answers)
    files = {folder: sorted(landing.storage.versions(folder).items()) for folder in folders}
    return hashlib.sha256(
        json.dumps([files, _mapping(run, "settings").get("source"), min_label_score]).encode()
    ).hexdigest()


def _write_pages(out: Path, library: Library, missing: set[str], run: Mapping[str, Any], made_of: str) -> None:
    everybody = (person.identity_id for person in (*library.people, *library.hidden))
    people = names.display_names(everybody, "Person", library.called)
    groups = names.display_names((group.name for group in library.groups), "Group")
    named = Links(missing=missing, people=people, groups=groups)
    site = Site(out, links=named, shared=_shared(library, run))
    site.write_assets()
    _write_photos(site, library)
    _write_lists(site, library)
    _write_index(site, library, run)  # last: what it links to is there
    site.finish(None if missing else made_of)  # what is missing is looked for by the next report


def _write_photos(site: Site, library: Library) -> None:
    seen = functools.partial(_seen, site.links)

    def write(photos: Sequence[Photo], path: str, **shown: str) -> None:
        site.write_list(photos, path, "photos.html", _PHOTOS, seen=seen, likeliest=_likeliest, **shown)

    for person in (*library.people, *library.hidden):
        path, about = page_path("people", person.identity_id), seen(person)
        shown = {"person": person, "nearest": _nearest, "here": "people"}
        strip = [face.face_id for _photo, face in person.faces[: _ON_INDEX["strip"]]]
        site.write_list(person.photos, path, "person.html", _PHOTOS, seen=seen, about=(about, strip), **shown)
    if library.photos:
        about = {"heading": "Photos", "kind": "", "order": "in the order of their paths", "notes": "label"}
        write(library.photos, "photos/index.html", **about, here="photos")
    for label in library.labels:
        about = {"heading": names.label_text(label.name), "kind": "Label", "order": "surest first"}
        write(label.photos, page_path("labels", label.name), **about, notes="label_score", here="labels")
    if library.unsure:
        about = {"heading": "Unsure", "kind": "Label", "order": "likeliest first"}
        write(library.unsure, UNSURE_PATH, **about, notes="label_score", here="labels")
    for group in library.groups:
        kind = f"Photos that look alike, {names.visible(group.name)}"
        about = {"heading": site.links.groups[group.name], "kind": kind, "order": "most typical first"}
        write(group.photos, page_path("groups", group.name), **about, notes="group_distance", here="groups")


def _write_lists(site: Site, library: Library) -> None:
    seen = functools.partial(_seen, site.links)
    for kind, heading in (("people", "People"), ("labels", "Labels"), ("groups", "Look alike")):
        more = {"unsure": library.unsure if kind == "labels" else []}
        if items := getattr(library, kind):
            shown = {"heading": heading, "kind": kind, "here": kind}
            about = _seen(site.links, Album("", unsure)) if (unsure := more["unsure"]) else None
            site.write_list(items, f"{kind}/index.html", "tiles.html", _TILES, seen=seen, about=about, **shown, **more)
    if library.duplicates:
        shown = {"heading": "Duplicates", "here": "duplicates"}
        path, of_group = "duplicates/index.html", functools.partial(_seen_copies, site.links)
        site.write_list(library.duplicates, path, "duplicates.html", _DUPLICATES, seen=of_group, most=_COPIES, **shown)
    if library.unassigned:
        shown = {"heading": _unassigned_heading(library), "here": "unassigned"}
        path = "faces-unassigned/index.html"
        site.write_list(library.unassigned, path, "unassigned.html", _FACES, seen=seen, **shown)
    if library.failures:
        shown = {"heading": "Failures", "here": "failures"}
        site.write_list(library.failures, "failures/index.html", "failures.html", _FAILURES, seen=seen, **shown)


def _seen(links: Links, item: Any) -> Any:
    """What a page shows of an item: where that is the same, so is the page."""
    match item:
        case Photo():
            faces = [links.face(item, face) for face in item.faces] if links.missing else ()
            return item, [links.people[name] for name in item.identity_ids], links.groups.get(item.group_id or ""), (
                links.thumbnail(item), faces)  # fmt: skip
        case Person():
            counts = len(item.photos), len(item.faces)
            return item.identity_id, links.people[item.identity_id], counts, _seen(links, item.faces[0])
        case Album():
            of_three = [_seen(links, photo) for photo in item.photos[:3]]
            last = item.photos[-1].label_score
            return item.name, links.groups.get(item.name), len(item.photos), of_three, last
        case (photo, face):
            return _seen(links, photo), face.face_id
    return item


def _seen_copies(links: Links, group: Album) -> Any:
    return len(group.photos), [_seen(links, photo) for photo in group.photos[:_COPIES]]


def _write_index(site: Site, library: Library, run: Mapping[str, Any]) -> None:
    made = _made(run)
    site.write(
        "index.html",
        "index.html",
        seen=os.urandom(16),  # it shows a bit of everything
        library=library,
        figures=_figures(library),
        failures=library.failures[: _ON_INDEX["failures"]],
        unassigned_heading=_unassigned_heading(library),
        sample=_spread(library.photos, _ON_INDEX["photos"]),
        stages=stages_of(run),
        subtitle=names.full_name(_common_folder(library)) if library.photos else "",
        made=f"{made.day} {made:%B %Y, %H:%M %Z}",
        made_iso=made.isoformat(timespec="seconds"),
        here="index",
    )


def _figures(library: Library) -> list[_Figure]:
    """What the run came to; zeros are told of images only, the others mean that nobody asked."""
    section = {found.key: found for found in _sections(library)}
    paths = {key: found.path for key, found in section.items()}
    figures = [
        _Figure("images", "images", library.n_images, paths.get("photos")),
        _Figure("failed", "failed", library.n_failed, paths.get("failures")),
    ]
    if library.n_faces:
        figures.append(_Figure("faces", "faces", library.n_faces))
    figures += [section[key] for key in ("people", "unassigned", "labels") if key in section]
    figures += [section[key]._replace(name="look-alikes") for key in ("groups",) if key in section]
    return figures + [section[key] for key in ("duplicates",) if key in section]


def _sections(library: Library) -> list[_Figure]:
    sections = [
        _Figure("people", "people", len(library.people), "people/index.html"),
        _Figure("labels", "labels", len(library.labels), "labels/index.html"),
        _Figure("groups", "look alike", len(library.groups), "groups/index.html"),
        _Figure("duplicates", "duplicates", len(library.duplicates), "duplicates/index.html"),
        _Figure("photos", "photos", len(library.photos), "photos/index.html"),
        _Figure("unassigned", "unassigned", len(library.unassigned), "faces-unassigned/index.html"),
        _Figure("failures", "failures", len(library.failures), "failures/index.html"),
    ]
    return [section for section in sections if section.amount]


def _shared(library: Library, run: Mapping[str, Any]) -> dict[str, Any]:
    """What every page shows: its title, the links to the sections, and with what it was made.

    Nothing that changes with every photo: the amounts, and when it was made, are on the index alone.
    """
    return {
        "title": _title(library, run),
        "sections": [(section.key, section.name.capitalize(), section.path) for section in _sections(library)],
        "version": importlib.metadata.version("pixelbrain"),
        "limits": _ON_INDEX,
        "why_unassigned": _WHY_UNASSIGNED,
    }


def _made(run: Mapping[str, Any]) -> datetime.datetime:
    """When the newest stage that is shown was done."""
    stages = _mapping(run, "stages")
    try:
        return max(datetime.datetime.fromisoformat(stages[name]["finished"]) for name in stages if name != "report")
    except (KeyError, TypeError, ValueError):  # no stage, or not written by this version
        return datetime.datetime.now().astimezone()


def _title(library: Library, run: Mapping[str, Any]) -> str:
    """The folder's name: of the source, or of what all photos have in common."""
    source = _mapping(run, "settings").get("source")
    for place in (source if isinstance(source, str) else "", _common_folder(library)):
        name = names.full_name(place).rstrip("/").rpartition("/")[2]
        if name not in ("", ".", ".."):
            return name
    return "Photos"


def _common_folder(library: Library) -> str:
    """The deepest folder that holds all photos, as a URI."""
    if not library.photos:
        return ""
    # the photos are sorted: what the first and the last share, all share
    first, last = (library.photos[i].image_id.split("/")[:-1] for i in (0, -1))
    return "/".join(os.path.commonprefix([first, last]))


def stages_of(run: Mapping[str, Any]) -> list[_Stage]:
    """The stages before this one; what the record says of the report is about an earlier one."""
    stages = []
    for name, found in _mapping(run, "stages").items():
        figures = _mapping(found)
        seconds, rate, images = (_number(figures.get(key)) for key in ("seconds", "images_per_s", "images"))
        if rate is None and images and seconds:
            rate = images / seconds
        if name != "report":
            stages.append(_Stage(str(name), seconds, rate or None))
    return stages


def _mapping(value: Any, key: str | None = None) -> Mapping[str, Any]:
    """`value`, or what it has under `key`, if that is a mapping; else an empty one: the record may be anything."""
    found = value.get(key) if key is not None else value
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _unassigned_heading(library: Library) -> str:
    return "Unassigned faces" if library.has_identities else "Faces"


def _spread(photos: Sequence[Photo], n: int) -> list[Photo]:
    """`n` photos from all over the library."""
    return [photos[i * len(photos) // n] for i in range(n)] if len(photos) > n else list(photos)


def _likeliest(photo: Photo) -> str:
    """The best labels with their probabilities, for a tooltip."""
    return ", ".join(f"{names.label_text(label)} {score or 0:.0%}" for label, score in photo.top_k)


def _nearest(person: Person, photo: Photo) -> float | None:
    """The distance of the person's most typical face in a photo."""
    distances = [f.distance for f in photo.faces if f.identity_id == person.identity_id and f.distance is not None]
    return min(distances, default=None)

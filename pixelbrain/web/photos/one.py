"""One photo with all that was said of it, and its neighbours in the search that it was found by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.config import EXIF
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.report.gallery import camera
from pixelbrain.report.gallery.reader import read_photo
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import View
from pixelbrain.web.page import Pages
from pixelbrain.web.photos.listing import PHOTOS, found_of, wanted_of

_SHARES = ("quality.brightness", "quality.contrast", "quality.clipped_shadows", "quality.clipped_highlights")
_LONGEST = 20_000  # letters of what a module said: a page is no export


@dataclass(frozen=True)
class Written:
    """What a camera and people wrote into a photo, in parts that pages link."""

    taken: str  # 2019-07-03 10:00:00 +02:00
    month: str  # of the search for that month; "": not known
    camera: str
    lens: str
    exposure: str
    rating: int | None
    place: str
    geo: str  # its URI
    keywords: tuple[str, ...]
    title: str
    description: str


def photo_page(pages: Pages) -> Callable[[Request, View], Response]:
    """One photo; next and previous are those of the search that it was found by."""

    def show(request: Request, view: View) -> Response:
        known, photos, wanted = view.known, view.photos, wanted_of(request)
        row = photos.by_key.find(request.path_params["key"])
        if row is None:
            return pages.error(request, "This photo is not there any more.", 404)
        try:
            found = found_of(wanted, pages.desk, view).rows
        except (ConfigError, StoreError):  # the list of photos says why
            found = np.empty(0, np.int64)
        at, around = _around(found, row, in_order=not wanted.sort)
        photo = known.photo(row)
        landed = pages.desk.row(photo.image_id)
        said = photo if landed is None else read_photo(landed, longest=_LONGEST)
        written = written_of(landed, photos.taken_at[row].as_py() or "")
        told = {name for name, _text in camera.camera_values(_struct(landed))}
        failures = [one for one in photos.failures if one.image_id == photo.image_id]
        keys = [None if one is None else key_of(photos.image_id[one].as_py()) for one in around]
        place = 0 if at is None else at
        page = f"page={place // PHOTOS + 1}" if place >= PHOTOS else ""
        up = "?".join(filter(None, ["/photos", "&".join(filter(None, [wanted.address(), page]))]))
        return pages.render(
            request, "photo.html", view, here="photos", photo=photo, ok=bool(photos.ok[row]), failures=failures,
            written=written, previous=keys[0], next=keys[1], query=wanted.address(), up=up, top_k=said.top_k,
            wanted=wanted, at=None if at is None else at + 1, total=len(found), format=_text(landed, "format"),
            said_of={face.face_id: face.values for face in said.faces},
            parts=_by_module([one for one in said.values if one[0] not in told], photos.said),
        )  # fmt: skip

    return show


def _around(found: np.ndarray, row: int, *, in_order: bool) -> tuple[int | None, list[int | None]]:
    """Where a photo is among those found; the one before it and the one after it."""
    places = np.flatnonzero(found == row)
    if not len(places) and not in_order:
        return None, [None, None]
    at, there = (int(places[0]), 1) if len(places) else (int(np.searchsorted(found, row)), 0)
    before = int(found[at - 1]) if at > 0 else None
    after = int(found[at + there]) if at + there < len(found) else None
    return (at if there else None), [before, after]


def written_of(landed: pa.Table | None, taken_at: str) -> Written:
    """What is known of how a photo was taken. taken_at: what the photo itself says, where no module read more."""
    exif = _struct(landed)
    values = dict(camera.camera_values(exif))
    taken = values.get("Taken", taken_at.replace("T", " "))
    latitude, longitude = exif.get("latitude"), exif.get("longitude")
    there = latitude is not None and longitude is not None
    return Written(
        taken=taken,
        month=taken[:7] if re.fullmatch(r"\d{4}-\d\d", taken[:7]) else "",
        camera=camera.camera_name(exif.get("make"), exif.get("model")) or "",
        lens=exif.get("lens") or "",
        exposure="  ".join(camera.exposure(exif)),
        rating=exif.get("rating"),
        place=values.get("Location", ""),
        geo=f"geo:{latitude:.6f},{longitude:.6f}" if there else "",
        keywords=tuple(exif.get("keywords") or ()),
        title=exif.get("title") or "",
        description=exif.get("description") or "",
    )


def _struct(landed: pa.Table | None) -> dict[str, Any]:
    there = landed is not None and EXIF in landed.column_names
    return (landed[EXIF][0].as_py() or {}) if there and landed is not None else {}


def _text(landed: pa.Table | None, name: str) -> str:
    return "" if landed is None else landed[name][0].as_py() or ""


def _by_module(values: list[tuple[str, str]], few: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """What each module said: fields, texts, and of what can be searched by, the search; answers are one part."""
    parts: dict[str, list[tuple[str, str, str]]] = {}
    for name, text in values:
        module, _dot, field = name.partition(".")
        value = {"True": "yes", "False": "no"}.get(text, text)
        if name in _SHARES and value:
            value = f"{float(value):.1%}".replace("%", " %")
        search = f"{name}={value}" if name in few and value in few[name].values else ""
        parts.setdefault(module if field else "", []).append((field or name, value, search))
    return sorted(parts.items())

"""Photos that were searched, one of them with all that was said of it, and the pictures that pages show."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pixelbrain.errors import ConfigError, PixelbrainError
from pixelbrain.report.gallery.reader import read_photo
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Note, View
from pixelbrain.web.data.find import ONLY, Wanted, find, months
from pixelbrain.web.page import Pages, paged

PHOTOS = 120
_NEAREST, _LIKE = 24, 60
TEXTS = "clip"  # the module whose vectors words are compared with
_FOR_GOOD = "private, max-age=31536000, immutable"
_SHORT = "private, max-age=60"
_PLACEHOLDER = (
    b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><path fill="#8884" d="M0 0h4v3H0z"/></svg>"""
)

_searching = threading.Lock()  # one at a time: a model takes all cores, and its memory


def wanted_of(request: Request) -> Wanted:
    """The search of an address."""
    return Wanted.of(request.query_params, request.query_params.getlist("person"))


def photos_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The photos that are wanted, and what else could be."""

    def show(request: Request, view: View) -> Response:
        known, wanted = view.known, wanted_of(request)
        if name := request.query_params.get("name", "").strip():  # one more, by name
            named = [key_of(one) for one in known.registry.named(name) if one in known.place]
            if not named:
                return pages.after(f"/photos?{wanted.address()}", Note(f"Nobody is called {name}.", good=False))
            return RedirectResponse(f"/photos?{wanted.address(person=(*wanted.person, named[0]))}", 303)
        page = paged(request, find(wanted, known), PHOTOS)
        people = [who for key in wanted.person if (who := known.find(key)) in known.place]
        counts = np.bincount(view.photos.label[_sure(view)], minlength=len(view.photos.labels))
        labels = [view.photos.labels[int(code)] for code in np.argsort(-counts, kind="stable") if counts[code]]
        return pages.render(
            request, "photos_found.html", view, here="photos", page=page, wanted=wanted, only=ONLY,
            photos=[known.photo(int(row)) for row in page.items],
            people=people, months=months(known), labels=labels, query=wanted.address(),
            reads_texts=TEXTS in pages.desk.landing.index.modules,
        )  # fmt: skip

    return show


def photo_page(pages: Pages) -> Callable[[Request, View], Response]:
    """One photo; next and previous are those of the search that it was found by."""

    def show(request: Request, view: View) -> Response:
        known, photos, wanted = view.known, view.photos, wanted_of(request)
        row = photos.by_key.find(request.path_params["key"])
        if row is None:
            return pages.error(request, "This photo is not there any more.", 404)
        found = find(wanted, known)
        at = int(np.searchsorted(found, row))
        there = at < len(found) and found[at] == row
        around = [found[at - 1] if at > 0 else None, found[at + there] if at + there < len(found) else None]
        photo = known.photo(row)
        landed = pages.desk.row(photo.image_id)
        said = photo if landed is None else read_photo(landed)
        photo.top_k, photo.values = said.top_k, said.values
        failures = [one for one in photos.failures if one.image_id == photo.image_id]
        keys = [None if one is None else key_of(photos.image_id[int(one)].as_py()) for one in around]
        page = f"page={at // PHOTOS + 1}" if at >= PHOTOS else ""
        up = "?".join(filter(None, ["/photos", "&".join(filter(None, [wanted.address(), page]))]))
        return pages.render(
            request, "photo.html", view, here="photos", photo=photo, ok=bool(photos.ok[row]), failures=failures,
            taken=photos.taken_at[row].as_py(), previous=keys[0], next=keys[1], query=wanted.address(), up=up,
            wanted=wanted, at=at + 1 if there else None, total=len(found),
            said_of={face.face_id: face.values for face in said.faces},
        )  # fmt: skip

    return show


def picture(pages: Pages, kind: str) -> Callable[[Request, View], Response]:
    """A thumbnail, the crop of a face, or a large picture: JPEG; what cannot be had is a grey one."""

    def show(request: Request, view: View) -> Response:
        key, pictures, known = request.path_params["key"], pages.desk.pictures, view.known
        row = (view.photos.face_by_key if kind == "face" else view.photos.by_key).find(key)
        if row is None:
            return Response(_PLACEHOLDER, 404, media_type="image/svg+xml")
        if kind == "face":
            photo, face = known.pair(row)
            of = f"{photo.version} {face.x1} {face.y1} {face.x2} {face.y2}"
        else:
            photo, face = view.photos.shown(row), None
            of = photo.version
        tag = f'"{kind}-{key_of(f"{photo.image_id} {of}")}"'
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _FOR_GOOD})
        if face is not None:
            found = pictures.face(photo, face)
        else:
            make = {"large": pictures.large, "full": pictures.full}.get(kind, pictures.thumbnail)
            found = make(photo)
        if found is None:
            return Response(_PLACEHOLDER, media_type="image/svg+xml", headers={"Cache-Control": _SHORT})
        return Response(found, media_type="image/jpeg", headers={"ETag": tag, "Cache-Control": _FOR_GOOD})

    return show


def search_by_photo(pages: Pages, request: Request, view: View, data: bytes, name: str, by: str) -> Response:
    """What is nearest to a photo that was sent; it lies in a temporary file meanwhile, and nowhere afterwards.

    Raises what `apps.photo_search.search_photo` does.
    """
    from pixelbrain.apps.photo_search import search_photo

    if not data:
        raise ConfigError("no photo was sent: choose a file")
    by = "images" if by == "images" else "faces"
    with tempfile.TemporaryDirectory() as folder, _searching:
        path = Path(folder) / "photo"
        path.write_bytes(data)
        pages.desk.stages.landing.refresh()
        try:
            found = search_photo(pages.desk.stages, str(path), by=by, k=_NEAREST)
        except PixelbrainError as error:  # where it lay here is nobody's business
            raise type(error)(str(error).replace(str(path), name or "this photo")) from None
    queries = [
        (query["title"], [one for one in map(_match(view), query["matches"]) if one]) for query in found["queries"]
    ]
    return pages.render(request, "nearest.html", view, here="photos", queries=queries, by=by, name=name)


def like_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The photos that words fit best, by the model that made OUT's vectors of photos and texts."""

    def show(request: Request, view: View) -> Response:
        from pixelbrain.apps.photo_search import search_text

        text = request.query_params.get("text", "").strip()
        try:
            with _searching:
                pages.desk.stages.landing.refresh()
                found = search_text(pages.desk.stages, text, k=_LIKE)
        except PixelbrainError as error:
            return pages.after("/photos", Note(str(error), good=False))
        match = _match(view)
        queries = [("", list(filter(None, map(match, one["matches"])))) for one in found["queries"]]
        return pages.render(request, "nearest.html", view, here="photos", queries=queries, by="text", name=text)

    return show


def _match(view: View) -> Callable[[dict[str, Any]], tuple | None]:
    def match(told: dict[str, Any]) -> tuple | None:
        if (face := told.get("face_id")) is not None:
            row = view.known.face_row(face)
            return None if row is None else (*view.known.pair(row), told["distance"])
        row = view.photos.by_key.find(key_of(told["image_id"]))
        return None if row is None else (view.known.photo(row), None, told["distance"])

    return match


def _sure(view: View) -> np.ndarray:
    photos = view.photos
    return photos.ok & (photos.label >= 0) & (photos.label_score >= photos.least)

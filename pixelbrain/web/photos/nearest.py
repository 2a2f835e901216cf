"""What is nearest to a photo that was sent, or to words: found once, and shown under an address of its own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pixelbrain.errors import ConfigError, PixelbrainError
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Note, View
from pixelbrain.web.page import Pages

_NEAREST, _LIKE = 24, 60

_searching = threading.Lock()  # one at a time: a model takes all cores, and its memory


def search_by_photo(pages: Pages, data: bytes, name: str, by: str) -> Response:
    """On to what is nearest to a photo that was sent; it lies in a temporary file meanwhile, and nowhere afterwards.

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
            found = search_photo(pages.desk.stages, str(path), by=by, k=_NEAREST, models=pages.desk.models)
        except PixelbrainError as error:  # where it lay here is nobody's business
            raise type(error)(str(error).replace(str(path), name or "this photo")) from None
    return RedirectResponse(f"/photos/nearest?found={pages.desk.keep((by, name, found['queries']))}", 303)


def nearest_page(pages: Pages) -> Callable[[Request, View], Response]:
    """What was found so; of a search that is too long ago, that it has to be made again."""

    def show(request: Request, view: View) -> Response:
        kept = pages.desk.kept(request.query_params.get("found", ""))
        if kept is None:
            text = "What was found is not kept any more: search by the photo again."
            return pages.after("/photos", Note(text, good=False))
        by, name, queries = kept
        return _shown(pages, request, view, queries, by, name)

    return show


def like_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The photos that words fit best, by the model that made OUT's vectors of photos and texts."""

    def show(request: Request, view: View) -> Response:
        from pixelbrain.apps.photo_search import search_text

        text = request.query_params.get("text", "").strip()
        try:
            with _searching:
                pages.desk.stages.landing.refresh()
                found = search_text(pages.desk.stages, text, k=_LIKE, models=pages.desk.models)
        except PixelbrainError as error:
            return pages.after("/photos", Note(str(error), good=False))
        return _shown(pages, request, view, found["queries"], "text", text)

    return show


def _shown(pages: Pages, request: Request, view: View, queries: list[dict], by: str, name: str) -> Response:
    match = _match(view)
    shown = [("" if by == "text" else one["title"], list(filter(None, map(match, one["matches"])))) for one in queries]
    return pages.render(request, "nearest.html", view, here="photos", queries=shown, by=by, name=name)


def _match(view: View) -> Callable[[dict[str, Any]], tuple | None]:
    def match(told: dict[str, Any]) -> tuple | None:
        if (face := told.get("face_id")) is not None:
            row = view.known.face_row(face)
            return None if row is None else (*view.known.pair(row), told["distance"])
        row = view.photos.by_key.find(key_of(told["image_id"]))
        return None if row is None else (view.known.photo(row), None, told["distance"])

    return match

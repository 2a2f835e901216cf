"""The pictures that pages show: JPEG, and a grey one for what cannot be had."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import View
from pixelbrain.web.page import Pages

#: Each is asked for again: of what was forgotten, or has another box now, a browser keeps no picture that it shows.
_ASK = "private, no-cache"
_PLACEHOLDER = (
    b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3"><path fill="#8884" d="M0 0h4v3H0z"/></svg>"""
)


def picture(pages: Pages, kind: str) -> Callable[[Request, View], Response]:
    """A picture of a `kind`: "thumbnail", "face", "large" or "full"."""

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
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _ASK})
        found = pictures.face(photo, face) if face is not None else getattr(pictures, kind)(photo)
        if found is None:
            return Response(_PLACEHOLDER, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
        return Response(found, media_type="image/jpeg", headers={"ETag": tag, "Cache-Control": _ASK})

    return show

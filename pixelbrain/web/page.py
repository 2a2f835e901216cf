"""Renders a page: the templates, what links lead to, messages, and long lists in pages."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.resources
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pixelbrain.report.gallery import names
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.report.gallery.site import Page, assets, environment
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Desk, Note, View

#: For how long the first page waits while all is read, before it says so.
FIRST_WAIT_S = 1.5
_FILES = {
    **dict.fromkeys(("work.css", "map.css"), "text/css"),
    **dict.fromkeys(("work.js", "photo.js", "map.js"), "text/javascript"),
}


class Links:
    """What the templates of the gallery link to, here: addresses with keys, and no path."""

    root = "/"

    def __init__(self, view: View | None, query: str = "") -> None:
        self._query = f"?{query}" if query else ""  # of the search whose photos are shown: next and previous are of it
        self.people: Mapping[str, str] = view.known.people if view else {}
        groups = view.known.group_ids if view else []
        self.groups = {one: f"Group {one.partition('-')[2][:6] or names.visible(one)}" for one in groups}

    def open(self, photo: Photo) -> str:
        """The page of a photo."""
        return f"/photos/{key_of(photo.image_id)}{self._query}"

    def thumbnail(self, photo: Photo) -> str:
        """Another one of another version: browsers keep it for good."""
        return f"/thumbnails/{key_of(photo.image_id)}?v={key_of(photo.version)[:8]}"

    def face(self, photo: Photo, face: GalleryFace) -> str:
        """The crop of a face; of another box another one."""
        box = ",".join(f"{value:.1f}" for value in (face.x1, face.y1, face.x2, face.y2))
        return f"/faces/{key_of(face.face_id)}/crop?v={key_of(f'{photo.version} {box}')[:8]}"

    def large(self, photo: Photo) -> str:
        """The large picture of a photo."""
        return f"/photos/{key_of(photo.image_id)}/large?v={key_of(photo.version)[:8]}"

    def full(self, photo: Photo) -> str:
        """The same with all its pixels."""
        return f"/photos/{key_of(photo.image_id)}/full?v={key_of(photo.version)[:8]}"

    def page(self, kind: str, name: str) -> str:
        """A person, or the photos of a label or a group."""
        if kind == "people":
            return f"/people/{key_of(name)}"
        query = {"label": name} if kind == "labels" else {"group": key_of(name)}
        return f"/photos?{urllib.parse.urlencode(query)}"


class Pages:
    """The pages of one desk.

    Args:
        desk: the OUT.
        title: what it is called.
    """

    def __init__(self, desk: Desk, title: str) -> None:
        self.desk, self.title = desk, title
        self._environment = environment("pixelbrain.web")
        self._environment.filters.update(key=key_of, dir=_direction)

    def render(
        self, request: Request, template: str, view: View | None, *, status: int = 200, **variables: Any
    ) -> Response:
        """A page. Each has `links`, `known`, `note`, `here`, `back`, `read_only`, `stamp`, and what is given."""
        here = request.url.path
        shared: dict[str, Any] = {
            "title": self.title,
            "version": importlib.metadata.version("pixelbrain"),
            "links": Links(view, variables.get("query", "")),
            "known": view.known if view else None,
            "note": self.desk.noted(request.query_params.get("note", "")),
            "path": here,
            "back": _without_note(here, request.url.query),
            "read_only": self.desk.read_only,
            # only who looks at duplicates, or at the history, is told what others choose among them
            "stamp": view.stamp[: None if variables.get("here") in ("duplicates", "history") else 32] if view else "",
            "undo_at": "/undo",
            "loaded": self.desk.has_models,
            "wanted": None,
        }
        text = self._environment.get_template(template).render({**shared, **variables})
        return HTMLResponse(text, status)

    def shown(self, request: Request, make: Callable[[Request, View], Response]) -> Response:
        """A page over what is there, or one that says that it is being read."""
        view = self.desk.view(wait_s=FIRST_WAIT_S)
        if view is None:
            return self.render(request, "reading.html", None)
        return make(request, view)

    def error(self, request: Request, text: str, status: int) -> Response:
        """A page that says what went wrong."""
        return self.render(request, "error.html", None, status=status, text=text)

    def onward(self, request: Request, to: str) -> Response:
        """To the page in the place of one that is no more; what was just done is said there."""
        note = self.desk.noted(request.query_params.get("note", ""))
        return self.after(to, note) if note else RedirectResponse(to, 303)

    def after(self, back: str, note: Note) -> Response:
        """On to a page of ours, which says what was done."""
        to = urllib.parse.urlsplit(local(back))
        query = [(name, value) for name, value in urllib.parse.parse_qsl(to.query) if name != "note"]
        query.append(("note", self.desk.note(note)))
        return RedirectResponse(f"{to.path}?{urllib.parse.urlencode(query)}", 303)


def local(back: str) -> str:
    """A path of ours; whatever leads elsewhere is the front page."""
    found = urllib.parse.urlsplit(back) if back.isprintable() else urllib.parse.urlsplit("/")
    ours = not found.scheme and not found.netloc and found.path.startswith("/") and not back.startswith(("//", "/\\"))
    return f"{found.path}?{found.query}" if ours else "/"


def paged(request: Request, items: Sequence[Any] | np.ndarray, size: int) -> Page[Any]:
    """The page of a long list that the address asks for; a number that is none is the first."""
    count = max(1, -(-len(items) // size))
    asked = request.query_params.get("page", "1")
    number = min(max(int(asked), 1), count) if asked.isdecimal() and len(asked) < 9 else 1
    query = [(name, value) for name, value in request.query_params.multi_items() if name not in ("page", "note")]
    base = f"{request.url.path.lstrip('/')}?"
    paths = tuple(base + urllib.parse.urlencode([*query, ("page", str(one))]) for one in range(1, count + 1))
    some: Any = items[(number - 1) * size : number * size]
    return Page(items=some, number=number, count=count, total=len(items), paths=paths)


@functools.cache
def asset(name: str) -> tuple[str, str] | None:
    """A file that pages load, and of which type it is; None: there is none."""
    if name in _FILES:
        folder = importlib.resources.files("pixelbrain.web").joinpath("assets")
        return folder.joinpath(name).read_text(encoding="utf-8"), _FILES[name]
    text = assets().get(name)
    return None if text is None else (text, "text/css" if name.endswith(".css") else "image/svg+xml")


def _without_note(path: str, query: str) -> str:
    rest = urllib.parse.urlencode([one for one in urllib.parse.parse_qsl(query) if one[0] != "note"])
    return f"{path}?{rest}" if rest else path


def _direction(text: str) -> str:
    """For an attribute that shows a name: `auto` follows its letters."""
    return "auto" if text else "ltr"

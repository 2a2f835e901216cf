"""The photos that are wanted, what else there is to choose, and the same as a file to take along."""

from __future__ import annotations

import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.report.export import export
from pixelbrain.report.gallery import names
from pixelbrain.storage.file_uri import shown_path
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Desk, Note, View
from pixelbrain.web.data.find import ONLY, SORTS, Found, Wanted
from pixelbrain.web.page import Pages, paged

PHOTOS = 120
TEXTS = "clip"  # the module whose vectors words are compared with
_LABELS = 300  # that can be chosen: of more nobody reads the list
_LEAST = (0.3, 0.5, 0.7, 0.9, 0.99)


def wanted_of(request: Request) -> Wanted:
    """The search of an address."""
    query = request.query_params
    return Wanted.of(query, query.getlist("person"), query.getlist("said"))


def found_of(wanted: Wanted, desk: Desk, view: View) -> Found:
    """The photos of a search. Raises `ConfigError`: its expression cannot be read."""
    return Found(wanted, view.known, desk.chosen(view, wanted.where) if wanted.where else None)


@dataclass(frozen=True)
class Chip:
    """Something that is asked, and the search without it."""

    what: str  # "Label"
    text: str
    address: str


def photos_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The photos that are wanted, and what else could be."""

    def show(request: Request, view: View) -> Response:
        known, wanted = view.known, wanted_of(request)
        if name := request.query_params.get("name", "").strip():  # one more, by name
            named = [key_of(one) for one in known.registry.named(name) if one in known.place]
            if not named:
                return pages.after(f"/photos?{wanted.address()}", Note(f"Nobody is called {name}.", good=False))
            return RedirectResponse(f"/photos?{wanted.address(person=(*wanted.person, named[0]))}", 303)
        if not all(one for _name, one in request.query_params.multi_items()):  # of a form, whatever was left empty
            return pages.onward(request, f"/photos?{wanted.address()}".rstrip("?"))
        wrong = ""
        try:
            found = found_of(wanted, pages.desk, view)
        except (ConfigError, StoreError) as error:  # nothing is meant by it, so that nothing is found
            wrong = str(error)
            found = Found(wanted, known, view.photos.ok & False)
        page = paged(request, found.rows, PHOTOS)
        return pages.render(
            request, "photos_found.html", view, here="photos", page=page, wanted=wanted, only=ONLY, sorts=SORTS,
            photos=[known.photo(int(row)) for row in page.items], wrong=wrong, found=found, least=_LEAST,
            labels=found.labels()[:_LABELS], chips=list(_chips(wanted, view)), query=wanted.address(),
            reads_texts=TEXTS in pages.desk.landing.index.modules,
        )  # fmt: skip

    return show


def list_file(pages: Pages, ending: str) -> Callable[[Request, View], Response]:
    """The photos of a search as a file: "txt", a list that sources take; "csv", as `export` writes it."""

    def show(request: Request, view: View) -> Response:
        wanted = wanted_of(request)
        ids = view.photos.image_id.take(pa.array(found_of(wanted, pages.desk, view).rows))
        if ending == "txt":
            # a path of two lines, or one that looks like a comment, is a URI
            paths = ((one, shown_path(one)) for one in ids.to_pylist())
            plain = (path if path.startswith("/") and path.isprintable() else one for one, path in paths)
            data = "".join(f"{one}\n" for one in plain).encode("utf-8", "surrogateescape")
        else:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "photos.csv"
                least = pages.desk.least
                export(pages.desk.landing, file, min_label_score=least, images=pa.chunked_array([ids], pa.string()))
                data = file.read_bytes()
        kind = {"txt": "text/plain; charset=utf-8", "csv": "text/csv; charset=utf-8"}[ending]
        name = urllib.parse.quote(f"{pages.title} photos.{ending}", safe="")
        told = f"attachment; filename=photos.{ending}; filename*=UTF-8''{name}"
        return Response(data, headers={"Content-Type": kind, "Content-Disposition": told})

    return show


def _chips(wanted: Wanted, view: View) -> Iterator[Chip]:
    """Of each thing that is asked, the search without it."""
    known = view.known
    if wanted.q:
        yield Chip("Words", wanted.q, wanted.address(q=""))
    for key in wanted.person:
        who = known.find(key)
        rest = tuple(one for one in wanted.person if one != key)
        yield Chip("With", known.called(who) if who else "somebody who is gone", wanted.address(person=rest))
    if wanted.label or wanted.least:
        least = f"at least {wanted.least:.0%}" if wanted.least else ""
        text = " ".join(filter(None, (names.label_text(wanted.label), least)))
        yield Chip("Label", text, wanted.address(label="", least=0.0))
    if wanted.month:
        yield Chip("Taken", wanted.month, wanted.address(month=""))
    if wanted.camera:
        yield Chip("Camera", wanted.camera, wanted.address(camera=""))
    if wanted.rating:
        yield Chip("Rating", f"at least {wanted.rating}", wanted.address(rating=0))
    for one in wanted.said:
        name, _is, value = one.partition("=")
        rest = tuple(other for other in wanted.said if other != one)
        yield Chip(name.replace("_", " "), value, wanted.address(said=rest))
    if wanted.only:
        yield Chip("Only", ONLY[wanted.only].lower(), wanted.address(only=""))
    if wanted.where:
        yield Chip("Where", wanted.where, wanted.address(where=""))
    if wanted.group:
        yield Chip("Look alike", "one group", wanted.address(group=""))
    if wanted.area:
        yield Chip("Map", "a part of it", wanted.address(area=""))

"""The people: all of them, one, and the faces of nobody."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.web.data.area import faces_in
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import View
from pixelbrain.web.page import Pages, paged

#: A page: tiles with a form each, faces with a box to tick, photos.
TILES, FACES, PHOTOS = 96, 240, 60
#: Of these people the page of all has lists.
_SHOWN = {"": "All", "named": "Named", "unnamed": "Without a name", "hidden": "Hidden"}


def people_page(pages: Pages) -> Callable[[Request, View], Response]:
    """Tiles of people by size, with a name under each."""

    def show(request: Request, view: View) -> Response:
        known, q, shown = view.known, request.query_params.get("q", "")[:200], request.query_params.get("show", "")
        shown = shown if shown in _SHOWN else ""
        mask = known.hidden.copy() if shown == "hidden" else ~known.hidden
        if shown in ("named", "unnamed"):
            named = np.array([one in known.registry.names for one in known.ids], bool)
            mask &= named if shown == "named" else ~named
        if q.strip():
            wanted = q.strip().casefold()
            mask &= np.array([wanted in known.called(one).casefold() for one in known.ids], bool)
        page = paged(request, np.flatnonzero(mask), TILES)
        covers = [known.pair(int(known.faces_of(int(code))[0])) for code in page.items]
        return pages.render(
            request, "people.html", view, here="people", page=page, covers=covers, q=q, shown=shown, choices=_SHOWN
        )

    return show


def person_page(pages: Pages) -> Callable[[Request, View], Response]:
    """One person: the faces, of which wrong ones can be picked, and the photos."""

    def show(request: Request, view: View) -> Response:
        known, key = view.known, request.path_params["key"]
        who = known.find(key)
        if who is None or who not in known.place:
            if "note" in request.query_params:  # somebody just took the last face
                return pages.onward(request, "/people")
            return pages.error(request, "This person is not there any more, or has no face: look at all people.", 404)
        if key != key_of(who):  # who became somebody else
            return pages.onward(request, f"/people/{key_of(who)}")
        code = known.place[who]
        faces = known.faces_of(code)
        doubtful = request.query_params.get("order") == "doubtful"
        page = paged(request, faces[::-1] if doubtful else faces, FACES)
        photos = [known.photo(int(row)) for row in known.photos_of(code)[:PHOTOS]]
        return pages.render(
            request, "person.html", view, here="people", who=who, code=code, page=page, doubtful=doubtful,
            query=f"person={key}", cover=known.pair(int(faces[0])), faces=known.pairs(page.items), photos=photos,
        )  # fmt: skip

    return show


def faces_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The faces of nobody, or those on a part of a map."""

    def show(request: Request, view: View) -> Response:
        known = view.known
        chosen = faces_in(request.query_params.get("area", ""), known)
        page = paged(request, known.nobodys if chosen is None else chosen, FACES)
        faces = known.pairs(page.items)
        return pages.render(
            request, "faces.html", view, here="faces", page=page, faces=faces, on_map=chosen is not None
        )

    return show

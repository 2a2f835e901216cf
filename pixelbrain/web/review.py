"""One question after another: the same person? And how much is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.identity.corrections.suggest import Suggestion
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.web.data.desk import View, suggestion_key
from pixelbrain.web.data.known import Known
from pixelbrain.web.page import Pages

_FACES = 6  # of each side
_WAIT_S = 0.2  # for questions; after that the page says that they are looked for, and comes again


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    who: str | None  # None: a face of nobody yet
    faces: list[tuple[Photo, GalleryFace]]
    n_faces: int
    n_photos: int


def review_page(pages: Pages) -> Callable[[Request, View], Response]:
    """The question that says most."""

    def show(request: Request, view: View) -> Response:
        left, later, why_not = pages.desk.queue(view, wait_s=_WAIT_S)
        asked = left[0] if left else None
        return pages.render(
            request, "review.html", view, here="review", asked=asked, left=left, later=later, why_not=why_not,
            key=suggestion_key(asked) if asked else "",
            sides=_sides(asked, view.known) if asked else [],
            stays=_people(asked, view.known)[0] if asked else None,
            gain=sum(_moved(one, view.known) for one in left),
            moved=_moved(asked, view.known) if asked else 0,
        )  # fmt: skip

    return show


def _sides(asked: Suggestion, known: Known) -> list[Side]:
    sides = []
    if asked.face_id is not None and (row := known.face_row(asked.face_id)) is not None:
        sides.append(Side(None, known.pairs([row]), 1, 1))
    for who in map(known.registry.current, asked.people):
        code = known.place[who]
        faces = [row for row in known.faces_of(code) if known.photos.face_id[int(row)].as_py() != asked.face_id]
        sides.append(Side(who, known.pairs(faces[:_FACES]), len(known.faces_of(code)), int(known.n_photos[code])))
    return sides


def _people(asked: Suggestion, known: Known) -> list[str]:
    """Who is asked about, as a yes has it: the first stays, or the first that has a name."""
    return sorted(map(known.registry.current, asked.people), key=lambda one: one not in known.registry.names)


def _moved(asked: Suggestion, known: Known) -> int:
    """How many faces a yes would bring to somebody."""
    if asked.kind != "same":
        return int(asked.kind == "whose")
    return sum(len(known.faces_of(known.place[one])) for one in _people(asked, known)[1:])

"""What was said of people and chosen among duplicates, the last first, each to be taken back."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.identity.corrections.events import Event, holds
from pixelbrain.landing.duplicates.choices import Choice
from pixelbrain.web import say
from pixelbrain.web.data.desk import View
from pixelbrain.web.duplicates import say as choosing
from pixelbrain.web.duplicates.alike import Alike
from pixelbrain.web.page import Pages, paged

_STEPS = 100  # a page


@dataclass(frozen=True)
class Step:
    """A line of the history."""

    event: Event | Choice
    text: str
    held: bool

    @property
    def called(self) -> str:
        """Each of the two is numbered by itself."""
        return f"choice {self.event.number}" if isinstance(self.event, Choice) else str(self.event.number)

    @property
    def undo_at(self) -> str:
        """Where its form is sent."""
        return choosing.UNDO if isinstance(self.event, Choice) else say.UNDO


def history_page(pages: Pages, alike: Alike) -> Callable[[Request, View], Response]:
    """All that was said, in the order of time; clocks of two machines may differ, and each log keeps its own order."""

    def show(request: Request, view: View) -> Response:
        events, choices = pages.desk.people.history(), alike.log.read()
        both: Iterable[Event | Choice] = heapq.merge(events, choices, key=lambda one: one.at)
        page = paged(request, list(both)[::-1], _STEPS)
        rows = [
            Step(one, choosing.told(one), holds(choices, one))
            if isinstance(one, Choice)
            else Step(one, say.told(one, view.known), holds(events, one))
            for one in page.items
        ]
        last = next((one.undo_at for one in rows if one.held and one.event.kind != "undo"), say.UNDO)
        return pages.render(request, "history.html", view, here="history", page=page, rows=rows, undo_at=last)

    return show

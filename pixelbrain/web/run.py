"""The front, the figures of the run, and its failures by kind with the command that tries again."""

from __future__ import annotations

import collections
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.errors import LandingError, MixedModelsError
from pixelbrain.record import read_record
from pixelbrain.report.gallery.pages import stages_of
from pixelbrain.stages.stages import Stages
from pixelbrain.web.data.desk import View
from pixelbrain.web.page import Pages, paged

_ON_FRONT = {"people": 24, "photos": 24}
_FAILURES = 300


def front_page(pages: Pages) -> Callable[[Request, View], Response]:
    """What there is, a bit of each."""

    def show(request: Request, view: View) -> Response:
        known, photos = view.known, view.photos
        seen = np.flatnonzero(~known.hidden)
        covers = [known.pair(int(known.faces_of(int(code))[0])) for code in seen[: _ON_FRONT["people"]]]
        some = np.flatnonzero(photos.ok)
        n = min(len(some), _ON_FRONT["photos"])
        sample = [known.photo(int(some[at * len(some) // n])) for at in range(n)]
        return pages.render(
            request, "front.html", view, here="front", seen=seen, covers=covers, sample=sample,
            n_named=sum(known.ids[int(code)] in known.registry.names for code in seen),
            n_failed=int((~photos.ok).sum()),
        )  # fmt: skip

    return show


def run_page(pages: Pages) -> Callable[[Request, View], Response]:
    """What failed and why, how to try it again, and what the stages took."""

    def show(request: Request, view: View) -> Response:
        stage, kind = request.query_params.get("stage", ""), request.query_params.get("kind", "")
        counts = collections.Counter((one.stage, one.error_type) for one in view.photos.failures)
        chosen = [
            one
            for one in view.photos.failures
            if (not stage or one.stage == stage) and (not kind or one.error_type == kind)
        ]
        try:
            record = read_record(pages.desk.storage)
        except LandingError:  # it is only a record
            record = {}
        try:
            models = pages.desk.landing.models()
        except MixedModelsError:
            models = {}
        asked = set(pages.desk.landing.answer_log.fields())
        return pages.render(
            request, "run.html", view, here="run", counts=counts.most_common(), page=paged(request, chosen, _FAILURES),
            stages=stages_of(record), models=models, stage=stage, kind=kind,
            again=_again(record, pages.desk.storage.uri, asked & {one.stage for one in view.photos.failures}),
        )  # fmt: skip

    return show


def title_of(stages: Stages) -> str:
    """What an OUT is called: as the folder of the photos, or as itself."""
    try:
        source = read_record(stages.storage).get("settings", {}).get("source")
    except (LandingError, AttributeError):
        source = None
    for place in (source, stages.storage.uri):
        if isinstance(place, str) and (name := PurePosixPath(place.rstrip("/")).name) not in ("", ".", ".."):
            return name
    return "Photos"


def _again(record: dict, out: str, asked: set[str]) -> list[str]:
    """The commands that do again what failed."""
    settings = record.get("settings")
    source = settings.get("source") if isinstance(settings, dict) else None
    words = ["pixelbrain", "run", source if isinstance(source, str) else "SOURCE", "--out", out, "--retry-failed"]
    questions = [shlex.join(["pixelbrain", "ask", out, "--question", one]) for one in sorted(asked)]
    return [shlex.join(words), *questions]

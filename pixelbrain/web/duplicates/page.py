"""The groups of photos that are alike, two of them side by side, and lists of what to drop, to take away."""

from __future__ import annotations

import shlex
import tempfile
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pixelbrain.config import EXIF, QUALITY
from pixelbrain.report.export import export, export_paths
from pixelbrain.web.data.desk import View
from pixelbrain.web.duplicates.alike import Alike
from pixelbrain.web.duplicates.groups import KINDS, SHOWN, Groups, Member
from pixelbrain.web.duplicates.say import UNDO
from pixelbrain.web.page import Pages, paged

#: A page: groups, and photos of each; of a larger one the comparison has all.
GROUPS, PHOTOS = 20, 24
_WHAT = {"duplicates": "Duplicates", "lookalikes": "Look-alikes"}


def groups_page(pages: Pages, alike: Alike, what: str) -> Callable[[Request, View], Response]:
    """Groups of `duplicates` or `lookalikes`."""

    def show(request: Request, view: View) -> Response:
        groups, query = alike.groups(view, what), request.query_params
        kind, shown = query.get("kind", ""), query.get("show", "")
        kind, shown = kind if kind in KINDS else "", shown if shown in SHOWN else ""
        wanted: Any = [] if groups is None else groups.wanted(kind, shown, query.get("stays", ""))
        page = paged(request, wanted, GROUPS)
        out = shlex.quote(pages.desk.storage.uri)
        return pages.render(
            request, "duplicates.html", view, here="duplicates", what=what, whats=_WHAT, page=page, groups=groups,
            shown=[(groups.of(int(code), PHOTOS), groups.size(int(code))) for code in page.items] if groups else [],
            kind=kind, kinds=KINDS if what == "duplicates" else {}, show=shown, shows=SHOWN, looking=alike.looking,
            undo_at=UNDO, out=out, keep_at=_without_stays(request),
        )  # fmt: skip

    return show


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One line of a comparison: what the two have, and whether one is ahead."""

    name: str
    values: tuple[str, str]
    ahead: int | None  # 0, 1; None: neither
    same: bool


def compare_page(pages: Pages, alike: Alike, what: str) -> Callable[[Request, View], Response]:
    """The best of a group, or the one that is asked for, beside another one."""

    def show(request: Request, view: View) -> Response:
        groups, query = alike.groups(view, what), request.query_params
        code = None if groups is None else groups.place.get(request.path_params["key"])
        if groups is None or code is None:
            return pages.onward(request, f"/{what}")  # no duplicates, as somebody just said
        group = groups.of(code)
        left = group.member(query.get("a", "")) or group.best
        others = [one for one in group.members if one is not left]
        right = next((one for one in others if one.key == query.get("b")), others[0])
        at = others.index(right)
        zoom = query.get("zoom") == "1"

        def to(**changes: Any) -> str:
            given = {"a": query.get("a", ""), "b": right.key, "zoom": "1" if zoom else "", **changes}
            told = urllib.parse.urlencode({name: value for name, value in given.items() if value})
            return f"/{what}/{group.key}?{told}"

        follows = groups.keys[code + 1] if code + 1 < len(groups) else None
        return pages.render(
            request, "compare.html", view, here="duplicates", what=what, group=group, sides=(left, right), at=at + 1,
            total=len(others), zoom=zoom, to=to, undo_at=UNDO,
            before=to(b=others[at - 1].key) if at else None,
            after=to(b=others[at + 1].key) if at + 1 < len(others) else None,
            following=f"/{what}/{follows}" if follows else None, number=code + 1, count=len(groups),
            width=max(left.photo.width, right.photo.width), lines=_differences(pages, left, right),
        )  # fmt: skip

    return show


def list_file(pages: Pages, what: str, form: str) -> Callable[[Request, View], Response]:
    """`csv`: a row a photo, what to keep and to drop, and why; `txt`: the paths of what to drop, one a line."""

    def show(request: Request, view: View) -> Response:
        landing = pages.desk.landing
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{what}.{form}"
            if form == "csv":
                export(landing, file, what)
            else:
                export_paths(landing, file, what)
            data = file.read_bytes()
        kind = "text/csv" if form == "csv" else "text/plain"
        return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{what}.{form}"'})

    return show


def _without_stays(request: Request) -> str:
    query = [one for one in request.query_params.multi_items() if one[0] not in ("note", "stays")]
    return f"{request.url.path}?{urllib.parse.urlencode(query)}"


def _differences(pages: Pages, left: Member, right: Member) -> list[Difference]:
    pair = (left, right)
    rows = []
    for one in pair:
        landed = pages.desk.row(one.photo.image_id)
        rows.append(landed.to_pylist()[0] if landed is not None else {})
    photos = [one.photo for one in pair]
    quality, exif = ([row.get(name) or {} for row in rows] for name in (QUALITY, EXIF))
    sharp = [one.get("sharpness") for one in quality]
    cameras = [" ".join(filter(None, (one.get("make"), one.get("model")))) for one in exif]
    lines = [
        _line("Size", [f"{p.width:,} × {p.height:,} px" for p in photos], [p.width * p.height for p in photos]),
        _line("Bytes", [_bytes(one.size_bytes) for one in photos], [one.size_bytes for one in photos]),
        _line("Format", [row.get("format") or "" for row in rows]),
        _line("Sharpness", list(map(_number, sharp)), sharp),
        _line("Taken", [(one.taken or "").replace("T", " ") for one in pair]),
        _line("Camera", cameras),
        _line("File", [one.photo.full_name for one in pair]),
    ]  # fmt: skip
    return [line for line in lines if any(line.values)]


def _line(name: str, texts: list[str], values: list[float | None] | None = None) -> Difference:
    ahead = None
    if values is not None and None not in values and values[0] != values[1]:
        ahead = int(values[1] > values[0])  # type: ignore[operator]
    return Difference(name=name, values=(texts[0], texts[1]), ahead=ahead, same=texts[0] == texts[1])


def _bytes(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


__all__ = ["Groups", "compare_page", "groups_page", "list_file"]

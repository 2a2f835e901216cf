"""Renders templates to files: the Jinja environment, links relative to a page, pagination, pages that are as before."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import pickle
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import jinja2

from pixelbrain.errors import ConfigError
from pixelbrain.report.gallery import names, thumbnails
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.sources.results import GALLERY_MARKER

T = TypeVar("T")

_FOLDERS = ("people", "labels", "groups", "duplicates", "photos", "faces-unassigned", "failures")
_PAGES = ".pages.json"  # what the pages that are there were made of

#: Shown for a photo that could be read when it landed and cannot be any more.
PLACEHOLDER = "assets/placeholder.svg"

#: Width over height of a photo's frame goes in these steps, each a CSS class: the pages carry no inline style, which
#: their content security policy forbids, and at most 2.5 % of a photo's edge is hidden. Longer ones are cropped.
_RATIO_STEP = 0.05
_RATIO_MIN, _RATIO_MAX = 0.4, 3.2


#: The page of the photos without a label; no label's own page ends so, theirs have a hash at the end.
UNSURE_PATH = "labels/unsure.html"


def page_path(kind: Literal["people", "labels", "groups"], name: str) -> str:
    """The first page of a person, a label or a group, inside the report."""
    return f"{kind}/{names.slug(name)}.html"


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links from one page; all are relative, so that the report can be moved as a folder."""

    missing: Set[str] = frozenset()  # thumbnails that could not be made
    people: Mapping[str, str] = field(default_factory=dict)  # what they are called, by identity_id
    groups: Mapping[str, str] = field(default_factory=dict)  # by group_id
    root: str = ""  # from the page to the report's folder: "" or "../"

    def of_page(self, path: str) -> Links:
        """The links of the page at `path`."""
        return replace(self, root="../" * path.count("/"))

    def open(self, photo: Photo) -> str | None:
        """Where a photo opens: the original, where a browser can open it."""
        return photo.href

    def thumbnail(self, photo: Photo) -> str:
        """A photo's thumbnail or the placeholder."""
        return self._image(thumbnails.thumbnail_path(photo))

    def face(self, photo: Photo, face: GalleryFace) -> str:
        """A face's crop or the placeholder."""
        return self._image(thumbnails.face_path(photo, face))

    @property
    def unsure(self) -> str:
        """The first page of the photos without a label."""
        return self.root + UNSURE_PATH

    def page(self, kind: Literal["people", "labels", "groups"], name: str) -> str:
        """The first page of a person, a label or a group."""
        return self.root + page_path(kind, name)

    def _image(self, path: str) -> str:
        return self.root + (PLACEHOLDER if path in self.missing else path)


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a long list."""

    items: Sequence[T]
    number: int  # from 1
    count: int  # pages in all
    total: int  # items in all
    paths: tuple[str, ...]  # of all pages, inside the report

    @property
    def path(self) -> str:
        """Its own path."""
        return self.paths[self.number - 1]

    @property
    def shortcuts(self) -> list[int | None]:
        """Page numbers to link to: the first, those around this one, None for a gap.

        The last one stands on the first page alone: on all of them, all were to be written again when one is added.
        """
        near = {1, *range(self.number - 2, self.number + 3), *([self.count] if self.number == 1 else [])}
        numbers: list[int | None] = []
        for number in sorted(n for n in near if 1 <= n <= self.count):
            if numbers and number != (numbers[-1] or 0) + 1:
                numbers.append(None)
            numbers.append(number)
        return numbers


def paginate(items: Sequence[T], path: str, *, size: int) -> list[Page[T]]:
    """Cut `items` into pages of at most `size`; an empty list has one empty page.

    `path` is the first page's, such as people/ada.html; the second is people/ada-2.html.
    """
    count = max(1, -(-len(items) // size))
    stem = path.removesuffix(".html")
    paths = tuple(path if number == 1 else f"{stem}-{number}.html" for number in range(1, count + 1))
    return [
        Page(items=items[n * size : (n + 1) * size], number=n + 1, count=count, total=len(items), paths=paths)
        for n in range(count)
    ]


def environment(*rooms: str) -> jinja2.Environment:
    """Where templates are found and what they can say: those of these packages, and then the gallery's."""
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(room) for room in (*rooms, "pixelbrain.report.gallery")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        count=_count,
        percent=_percent,
        distance=lambda value: "" if value is None else f"{abs(value):.2f}",
        label=names.label_text,
        visible=names.visible,
        ratio=_ratio_class,
        rate=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}",
        seconds=_seconds,
        thumbnail_size=thumbnails.thumbnail_size,
    )
    return found


def assets() -> dict[str, str]:
    """The style sheet and the drawings, by their file names."""
    folder = importlib.resources.files("pixelbrain.report.gallery").joinpath("assets")
    found = {
        one.name: one.read_text(encoding="utf-8") for one in folder.iterdir() if one.name.endswith((".css", ".svg"))
    }
    return {name: text + _ratio_rules() if name.endswith(".css") else text for name, text in found.items()}


@dataclass(eq=False)
class Site:
    """A folder of pages, written one after another, but for those that an earlier report made of the same.

    `finish` removes pages that are no more. A report that is cut short in between is written anew by the next.
    """

    out: Path  # the report's folder; made if it is not there
    _: KW_ONLY
    links: Links  # every page has these, from where it is
    shared: Mapping[str, Any]  # variables that every page has

    def __post_init__(self) -> None:
        self._before = _read_pages(self.out).get("pages", {})
        (self.out / _PAGES).unlink(missing_ok=True)
        self._digests: dict[str, str] = {}
        self._environment = environment()

    def write(self, path: str, template: str, *, seen: Any, **variables: Any) -> None:
        """Render `template` to `path` (inside the report), unless it is there, made of the same.

        Args:
            path: of the page. Templates link with `root ~ "people/…"`.
            template: its name.
            seen: what can be seen on the page, beside what all pages share; it is pickled.
            variables: of the template.
        """
        seen = pickle.dumps((_recipe(), template, self.shared, seen), protocol=5)
        digest = self._digests[path] = hashlib.blake2b(seen, digest_size=16).hexdigest()
        target = self.out / path
        if self._before.get(path) == digest and target.exists():
            return
        links = self.links.of_page(path)
        text = self._environment.get_template(template).render(
            **self.shared, **variables, root=links.root, links=links, path=path
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def write_list(
        self,
        items: Sequence[T],
        path: str,
        template: str,
        size: int,
        /,
        *,
        seen: Callable[[T], Any],
        about: Any = None,
        **variables: Any,
    ) -> None:
        """Render a list to as many pages as it takes, the first at `path`, each with its `page`.

        Args:
            seen: an item to what is to be seen of it.
            about: what else can be seen on the pages, beside the texts among the variables.
        """
        texts = {name: value for name, value in variables.items() if isinstance(value, str)}
        for page in paginate(items, path, size=size):
            place = page.number, page.shortcuts, (page.count, page.total) if page.number == 1 else None
            shown = place, about, texts, [seen(item) for item in page.items]
            self.write(page.path, template, seen=shown, page=page, **variables)

    def write_assets(self) -> None:
        """Copy the style sheet and the placeholder."""
        folder = self.out / "assets"
        folder.mkdir(exist_ok=True)
        for name, text in assets().items():
            (folder / name).write_text(text, encoding="utf-8")

    def finish(self, made_of: str | None) -> None:
        """Remove the pages that an earlier report had and this one has not, and remember what they are made of.

        Args:
            made_of: see `is_made_of`; None: ask again, as something could not be shown.
        """
        for folder in _FOLDERS:
            for path in (self.out / folder).glob("*.html"):
                if path.relative_to(self.out).as_posix() not in self._digests:
                    path.unlink()
        text = json.dumps({"made_of": made_of and f"{_recipe()} {made_of}", "pages": self._digests})
        temporary = self.out / f"{_PAGES}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.out / _PAGES)


def is_made_of(out: Path, made_of: str) -> bool:
    """Whether the report in `out` was made, and finished, by this version of what `made_of` says."""
    return (out / "index.html").exists() and _read_pages(out).get("made_of") == f"{_recipe()} {made_of}"


def _read_pages(out: Path) -> dict[str, Any]:
    try:
        return json.loads((out / _PAGES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none yet, or it was cut short: all pages are made anew
        return {}


@functools.cache
def _recipe() -> str:
    """Changes with the templates and with the version: pages of another one are made anew."""
    digest = hashlib.blake2b(importlib.metadata.version("pixelbrain").encode(), digest_size=8)
    templates = importlib.resources.files("pixelbrain.report.gallery").joinpath("templates")
    for template in sorted(templates.iterdir(), key=lambda one: one.name):
        digest.update(template.read_bytes())
    return digest.hexdigest()


def claim(out: Path) -> None:
    """Make the folder `out` a report's, so that what a later report removes from it can only be a report's.

    Raises:
        ConfigError: it holds files and is not a report: nothing in it is touched.
    """
    out.mkdir(parents=True, exist_ok=True)
    marker = out / GALLERY_MARKER
    if not marker.exists():
        with os.scandir(out) as entries:
            if any(True for _ in entries):
                raise ConfigError(f"{out} has files in it and is not a report: name an empty or a new folder")
        marker.write_text("Made by Pixelbrain. Pages and thumbnails in this folder are replaced by the next report.\n")


def _ratio_class(width: int, height: int) -> str:
    ratio = min(max(width / height, _RATIO_MIN), _RATIO_MAX)
    return f"r{round(round(ratio / _RATIO_STEP) * _RATIO_STEP * 100)}"


def _ratio_rules() -> str:
    steps = range(round(_RATIO_MIN / _RATIO_STEP), round(_RATIO_MAX / _RATIO_STEP) + 1)
    hundredths = [round(step * _RATIO_STEP * 100) for step in steps]
    return "\n" + "".join(f".r{value} {{ --ratio: {value / 100:g}; }}\n" for value in hundredths)


def _count(value: int, one: str = "", many: str = "") -> str:
    """1,234 or, with words, 1 photo and 1,234 photos."""
    word = one if value == 1 else many or f"{one}s"
    return f"{value:,} {word}" if one else f"{value:,}"


def _percent(value: float | None) -> str:
    """A probability; one that is not quite certain does not read 100 %."""
    if value is None:
        return ""
    if 0 < value < 0.01:
        return "< 1 %"
    return f"{min(round(value * 100), 99 if value < 1 else 100)} %"


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"

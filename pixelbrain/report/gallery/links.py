"""Where things are inside the report, as a page at some depth links to them, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from pixelbrain.report.gallery import names, thumbnails
from pixelbrain.report.gallery.items import GalleryFace, Photo

#: Shown for a photo that could be read when it landed and cannot be any more.
PLACEHOLDER = "assets/placeholder.svg"


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

    def thumbnail(self, photo: Photo) -> str:
        """A photo's thumbnail or the placeholder."""
        return self._image(thumbnails.thumbnail_path(photo))

    def face(self, photo: Photo, face: GalleryFace) -> str:
        """A face's crop or the placeholder."""
        return self._image(thumbnails.face_path(photo, face))

    def page(self, kind: Literal["people", "labels", "groups"], name: str) -> str:
        """The first page of a person, a label or a group."""
        return self.root + page_path(kind, name)

    def _image(self, path: str) -> str:
        return self.root + (PLACEHOLDER if path in self.missing else path)

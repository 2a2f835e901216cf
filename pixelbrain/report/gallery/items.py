"""What the gallery shows: photos, faces, people, labels, groups, failures; without a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixelbrain.report.gallery import names
from pixelbrain.schema import ModelInfo


@dataclass(slots=True, eq=False)
class _OfImage:
    """Whatever is about one image."""

    image_id: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return names.short_name(self.image_id)

    @property
    def full_name(self) -> str:
        """Its path or URI."""
        return names.full_name(self.image_id)

    @property
    def href(self) -> str | None:
        """Link to the original, where a browser can open it."""
        return names.href(self.image_id)


@dataclass(slots=True, eq=False)
class GalleryFace:
    """One face. Coordinates are pixels of the upright original."""

    face_id: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float | None  # detection probability, 0 to 1
    identity_id: str | None = None  # None: unassigned
    distance: float | None = None  # cosine distance to the identity's mean
    assigned: str | None = None  # as in `schema.IDENTITY_SCHEMA`; None: identities were not looked for
    values: tuple[tuple[str, str], ...] = ()  # of modules that look at faces: ("glasses.worn", "True")


@dataclass(slots=True, eq=False)
class Photo(_OfImage):
    """One image that could be read: what its cards show, and no vector."""

    version: str
    size_bytes: int | None
    width: int  # pixels of the upright original
    height: int
    label: str | None = None  # None: unsure, or not asked
    label_score: float | None = None  # of the likeliest label, shown or not: probability, 0 to 1
    top_k: tuple[tuple[str, float | None], ...] = ()
    faces: tuple[GalleryFace, ...] = ()
    turn: int = 0  # clockwise degrees by which its faces are to be turned to be upright
    group_id: str | None = None
    group_distance: float | None = None
    duplicate_id: str | None = None  # None: there is no other one like it
    keep: bool = True  # the best of its duplicates
    why: str = ""  # for people, as in `schema.DUPLICATE_SCHEMA`
    values: tuple[tuple[str, str], ...] = ()  # of users' own modules: ("colour.red", "127.5")

    @property
    def unsure(self) -> bool:
        """Whether it was looked at, and no label is likely enough to be shown as such."""
        return self.label is None and self.label_score is not None

    @property
    def identity_ids(self) -> list[str]:
        """Who is in it, each once, in the order of the faces."""
        return list(dict.fromkeys(face.identity_id for face in self.faces if face.identity_id is not None))


@dataclass(slots=True, eq=False)
class Failure(_OfImage):
    """Something that did not work: an image (`stage` is "image"), or one module on one image."""

    stage: str
    error_type: str
    error: str


@dataclass(slots=True, eq=False)
class Person:
    """An identity with its faces, the most typical first, and its photos, each once, in that order."""

    identity_id: str
    faces: Sequence[tuple[Photo, GalleryFace]]
    photos: Sequence[Photo]


@dataclass(slots=True, eq=False)
class Album:
    """A label with its photos, the surest first, or a visual group with its, the most typical first."""

    name: str  # the label, or the group's id
    photos: Sequence[Photo]


@dataclass(kw_only=True, eq=False)
class Library:
    """Everything that the gallery shows. Photos are in the order of their ids; people, labels and groups by size.

    Photos, faces and failures are read from a file when they are looked at, see `spool`.
    """

    photos: Sequence[Photo]
    failures: Sequence[Failure]
    people: list[Person]
    hidden: list[Person]  # whom somebody hid: they have pages, and stand in no list
    called: Mapping[str, str]  # identity_id -> name of those who were given one
    unassigned: Sequence[tuple[Photo, GalleryFace]]
    labels: list[Album]
    unsure: Sequence[Photo]  # without a label, the likeliest first
    min_label_score: float  # of the labels
    groups: list[Album]
    duplicates: list[Album]  # groups, each with the one to keep first
    models: dict[str, ModelInfo]
    n_failed: int  # images that could not be read
    n_faces: int
    has_faces_column: bool
    has_identities: bool

    @property
    def n_images(self) -> int:
        """Images that were tried."""
        return len(self.photos) + self.n_failed

"""A library of drawn photos for the gallery's tests: dark, with a white face where the landed row says there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.sources.local import path_to_uri
from tests.unit.report.landed_rows import COLUMNS, identity, image_row, labelled, with_faces

__all__ = ["ADA", "HOSTILE", "draw", "failed_row", "land", "landed_row"]

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
GROUND, FACE = (60, 50, 70), (255, 255, 255)  # told apart by brightness: JPEG blurs colours by a few pixels
ROTATE_90 = 6  # EXIF: the camera was held upright, its pixels lie on their side

#: Photos of ada: size, her face, orientation. One of each shape, a panorama that the page crops among them.
ADA = {
    "landscape.jpg": ((900, 600), (600, 120, 750, 300), 1),
    "odd.jpg": ((1000, 731), (100, 500, 260, 700), 1),
    "on its side.jpg": ((600, 800), (60, 80, 240, 320), ROTATE_90),
    "panorama.jpg": ((2400, 500), (1150, 100, 1300, 350), 1),
    HOSTILE: ((400, 400), (20, 30, 220, 260), 1),
}


def draw(path: Path, size: tuple[int, int], box: tuple[int, int, int, int] | None, orientation: int = 1) -> str:
    """A dark photo with a white face in `box` of the upright photo; returns its image_id."""
    image = Image.new("RGB", size, GROUND)
    if box:
        image.paste(FACE, box)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation == ROTATE_90:
        image = image.rotate(90, expand=True)
    image.save(path, "JPEG", quality=90, exif=exif)
    return path_to_uri(str(path))


def landed_row(
    image_id: str, size: tuple[int, int] = (80, 60), boxes: tuple = (), label: str = "cat"
) -> dict[str, Any]:
    """A photo that all modules have seen."""
    return image_row(
        image_id,
        width=size[0],
        height=size[1],
        resnet=labelled(label, 0.75),
        facenet=with_faces(image_id, *boxes),
        colour={"red": 120.5},
    )


def failed_row(image_id: str, error: str) -> dict[str, Any]:
    """A photo that could not be read."""
    return image_row(image_id, width=None, height=None, status="failed", error_type="DecodeError", error=error)


def land(out: Path, rows: list[dict[str, Any]], people: dict[str, str | None]) -> Landing:
    """`people`: face_id to identity_id."""
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *(pa.field(*c) for c in COLUMNS.items())]))
    landing = Landing(out)
    states = {name: ModuleState(settings={}, model=None) for name in COLUMNS}
    landing.write_part(table, generation=1, block=0, piece=0, modules=states)
    faces = [(*face.rpartition("#")[::2], who) for face, who in people.items()]
    identities = [identity(image_id, int(index), who, 0.25) for image_id, index, who in faces]
    IDENTITIES.write(landing, pa.Table.from_pylist(identities, schema.IDENTITY_SCHEMA))
    return landing

"""Modules over faces, without Ray: aligned crops of photos at any scale, and what is said of each face."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pixelbrain.errors import ModuleError
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.modules.faces.align import CHIP_POINTS, align
from pixelbrain.modules.faces.module import FaceModule, cut_out

LANDMARKS = CHIP_POINTS * 2 + (40, 30)


class Eyes(FaceModule):
    """Keeps the crops that it is given."""

    name = "eyes"

    def face_fields(self):
        return [pa.field("light", pa.float32())]

    def process_faces(self, image, crops, faces):
        self.crops = crops
        return [{"light": crop[48:56, 34:42].mean()} for crop in crops][: image.width]


@pytest.fixture
def photo():
    """1200 x 900 with smooth colours, and a white spot on an eye of a face."""
    y, x = np.mgrid[:900, :1200]
    pixels = np.stack([x / 5, y / 4, (x + y) / 9], axis=-1).astype(np.uint8)
    ex, ey = LANDMARKS[0].astype(int)
    pixels[ey - 12 : ey + 12, ex - 12 : ex + 12] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def face(landmarks=LANDMARKS, number: int = 0) -> dict:
    box = dict(zip(("x1", "y1", "x2", "y2"), (40.0, 30.0, 264.0, 254.0), strict=True))
    return {"face_id": f"a#{number}", **box, "landmarks": landmarks.ravel().astype(np.float32), "score": 1.0}


@pytest.mark.parametrize("side_px", [0, 700, 300])
def test_crops_are_of_the_face_however_far_the_photo_was_reduced(photo, side_px):
    image = decode_image(photo, target=DecodeTarget(long_side_px=side_px))
    (crop,) = cut_out(image, [face()])
    whole = align(decode_image(photo).pixels, LANDMARKS)
    assert crop[47:56, 34:42].min() > 200  # the eye is where models look for it
    assert np.abs(crop[60:].astype(int) - whole[60:]).mean() < 2


def test_each_face_has_what_is_said_of_it_and_whose_it_is(photo):
    module, image = Eyes(), decode_image(photo)
    other = face(LANDMARKS + 300, 1)
    rows = module.run([image, image, image], faces=[{"faces": [face(), other]}, {"faces": []}, {"error_type": "E"}])
    assert module.crops.shape == (2, 112, 112, 3) and module.crops.dtype == np.uint8
    assert pa.array(rows, module.struct_type()).to_pylist()[0]["faces"][1].keys() == {
        "face_id", "x1", "y1", "x2", "y2", "light"
    }  # fmt: skip
    (bright, dark), (nobody, failed) = rows[0]["faces"], rows[1:]
    assert bright["light"] > 200 > dark["light"] and (dark["face_id"], dark["x2"]) == ("a#1", 264)
    assert nobody == {"faces": []} and "failed on this image" in failed["error"]


def test_what_does_not_fit_is_the_photos_error(photo):
    image = decode_image(photo)
    short, without = replace(image, width=1), {**face(), "landmarks": None}
    rows = Eyes().run([short, image], faces=[{"faces": [face(), face()]}, {"faces": [without]}])
    assert [row["error"] for row in rows] == [
        "module eyes returned 1 rows for 2 faces", "a face has no landmarks to align it by"
    ]  # fmt: skip
    with pytest.raises(ModuleError, match=r"module eyes is run as run\(images, faces=...\), with a struct an image"):
        Eyes().run([image])
    with pytest.raises(ModuleError, match="struct an image"):
        Eyes().run([image], faces=[])

    assert Eyes().run([image], faces=[{"label": "cat"}])[0]["error"] == "faces finds no faces: it has label"
    with pytest.raises(ModuleError, match="requires is empty: its first name is what gives the faces"):
        type("Bare", (Eyes,), {"requires": []})

    class Taken(Eyes):
        def face_fields(self):
            return [pa.field("x1", pa.float32())]

    with pytest.raises(ModuleError, match=r"face_fields\(\) has x1, which each face has"):
        Taken().struct_type()

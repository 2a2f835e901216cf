"""Sharpness, light and hash mean what they say, and the hash is that of imagehash."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.images.decode import DecodedImage, DecodeTarget, decode_image
from pixelbrain.modules.quality import MEASURED_PX, QualityModule


def quality(pixels: np.ndarray) -> dict:
    height, width, _ = pixels.shape
    image = DecodedImage(image_id="file:///a.jpg", pixels=pixels, width=width, height=height, format="PNG")
    (found,) = QualityModule().run([image])
    assert "error" not in found
    return found


def flat(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8), 3).reshape(1, -1, 3).repeat(64, 0).repeat(16, 1)


def test_light_is_of_grey_levels():
    found = quality(flat(0, 255, 255, 255))
    assert found["brightness"] == pytest.approx(0.75) and found["contrast"] == pytest.approx(0.4330127)
    assert (found["clipped_shadows"], found["clipped_highlights"]) == (0.25, 0.75)
    assert quality(flat(3, 252))["clipped_shadows"] == quality(flat(3, 252))["clipped_highlights"] == 0
    assert quality(flat(99))["contrast"] == quality(flat(99))["sharpness"] == 0


@pytest.mark.parametrize("place", range(3))
def test_on_photos(place):
    data = sorted(one for one in SAMPLES.rglob("*") if one.suffix in (".jpg", ".jpeg", ".png"))[place].read_bytes()
    image = decode_image(data)
    found, blurred = quality(image.pixels), image.pil().filter(ImageFilter.GaussianBlur(3))
    assert quality(np.asarray(blurred))["sharpness"] < 0.5 * found["sharpness"]
    # on a grey picture of one size, so that what another module wants to see of a photo makes no other one
    small = decode_image(data, target=DecodeTarget(long_side_px=MEASURED_PX))
    assert abs(quality(small.pixels)["brightness"] - found["brightness"]) < 0.01
    theirs = imagehash.phash(Image.fromarray(image.pixels))
    assert len(found["phash"]) == 16 and imagehash.hex_to_hash(found["phash"]) - theirs <= 2
    tiny = image.pil().convert("L").resize((300, 200))
    assert quality(np.asarray(tiny.convert("RGB")))["phash"] == str(imagehash.phash(tiny))

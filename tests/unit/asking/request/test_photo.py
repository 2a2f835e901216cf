"""The image as it is sent: its size, its orientation, its bytes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.question import PREBUILT
from pixelbrain.asking.request.photo import Photo, PhotoPreparer, data_url, prepare_photo, read_size
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import DecodeError, ImageTooLargeError
from tests.hostile.case import png

TILES = find_price("gpt-4o")
PATCHES = find_price("gpt-4.1-nano")


def encoded(width: int, height: int, kind: str = "JPEG", *, orientation: int = 1, mode: str = "RGB") -> bytes:
    """A photo whose left half is red and whose right half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **({"exif": exif} if kind in ("JPEG", "PNG") else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("price", [TILES, PATCHES])
@pytest.mark.parametrize("detail", ["low", "high"])
@pytest.mark.parametrize("size", [(3000, 2000), (640, 480), (90, 1300), (17, 11), (6136, 800)])
def test_sent_image_has_exactly_the_target_size(price, detail: str, size: tuple[int, int]) -> None:
    jpeg, sent = prepare_photo(encoded(*size), price=price, detail=detail, image_id="a")
    assert sent == price.tokens.target(*size, detail)
    assert sent[0] <= size[0] and sent[1] <= size[1]
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.size == sent
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert not image.getexif()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sent_image_is_upright(kind: str, orientation: int) -> None:
    data = encoded(800, 400, kind, orientation=orientation)
    upright = (400, 800) if orientation >= 5 else (800, 400)
    assert read_size(data) == upright
    jpeg, sent = prepare_photo(data, price=TILES, detail="low", image_id="a")
    assert sent == TILES.tokens.target(*upright, "low")
    with Image.open(io.BytesIO(jpeg)) as image:
        red, _green, blue = image.resize((1, 1), box=(0, 0, 100, 100)).getpixel((0, 0))
    red_first = {1: True, 2: False, 3: False, 4: True, 5: True, 6: True, 7: False, 8: False}[orientation]
    assert (red > 200 and blue < 50) is red_first


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("PNG", "L"), ("JPEG", "CMYK")]
)
def test_other_formats_become_jpeg(kind: str, mode: str) -> None:
    data = encoded(300, 200, kind, mode=mode)
    assert read_size(data) == (300, 200)
    jpeg, sent = prepare_photo(data, price=PATCHES, detail="low", image_id="a")
    assert sent == (300, 200)
    assert jpeg[:2] == b"\xff\xd8"


def test_the_same_bytes_give_the_same_jpeg() -> None:
    data = encoded(900, 700)
    first, second = (prepare_photo(data, price=TILES, detail="low", image_id=i) for i in ("a", "b"))
    assert first == second
    assert prepare_photo(encoded(900, 700, orientation=3), price=TILES, detail="low", image_id="a") != first


def test_size_is_read_from_the_header_alone() -> None:
    assert read_size(encoded(3000, 2000)[:2000]) == (3000, 2000)
    assert read_size(encoded(300, 200, "PNG")[:200]) == (300, 200)


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_size(data)
    with pytest.raises(DecodeError):
        prepare_photo(data, price=TILES, detail="low", image_id="a")


def test_half_an_image_is_not_sent() -> None:
    data = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(data).save(buffer, "JPEG")
    with pytest.raises(DecodeError):
        prepare_photo(buffer.getvalue()[:20_000], price=TILES, detail="low", image_id="a")


def test_a_bomb_is_not_decoded() -> None:
    header = png(11_000, 11_000, 8, 0, b"")  # 121 megapixels: read, and refused before they are allocated
    assert read_size(header) == (11_000, 11_000)
    with pytest.raises(ImageTooLargeError):
        prepare_photo(header, price=TILES, detail="low", image_id="a")


def test_data_url_holds_the_jpeg() -> None:
    head, _, text = data_url(b"\xff\xd8jpeg").partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(text) == b"\xff\xd8jpeg"


@pytest.mark.parametrize(("limit", "asked"), [(1, False), (2, True)])
def test_the_settings_limit_is_that_of_an_image(limit: int, asked: bool) -> None:
    settings = AskSettings(questions=(PREBUILT["people_detector"],), max_megapixels=limit)
    photo = PhotoPreparer(settings, TILES, lambda _: encoded(1100, 1000, "PNG")).prepare({"image_id": "a"})
    assert isinstance(photo, Photo) is asked
    assert asked or photo.error_type == "ImageTooLargeError"

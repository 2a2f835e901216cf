"""The image as it is sent: upright, no larger than the model can use, as JPEG."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image

from pixelbrain.asking.prices import ModelPrice, target_size
from pixelbrain.errors import DecodeError, ImageTooLargeError
from pixelbrain.images.decode import DecodeTarget, decode_image

__all__ = ["JPEG_QUALITY", "SentImage", "data_url", "prepare_photo", "read_size"]

#: No visible artefacts at half the bytes of quality 95; the tokens depend on the size in pixels alone.
JPEG_QUALITY = 88

_ORIENTATION_TAG = 0x0112
_QUARTER_TURNED = frozenset({5, 6, 7, 8})  # EXIF 2.32, the tag Orientation

#: What Pillow's parsers raise on damaged headers.
_PARSER_ERRORS = (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, OverflowError, EOFError)


@dataclass(frozen=True, kw_only=True)
class SentImage:
    """An image ready to be sent."""

    jpeg: bytes  # upright RGB, without the original's metadata: no place and no camera leave the house
    width: int
    height: int
    sha256: str  # of the JPEG, hex: with the question it is the key of a remembered answer


def prepare_photo(data: bytes, *, price: ModelPrice, detail: str, image_id: str = "") -> SentImage:
    """Bring an image to what the model can use at this level of detail.

    The same bytes give the same JPEG, so that an answer is found again.

    Args:
        data: an encoded image, as `decode_image` takes it.
        price: of the model, which knows the sizes it takes.
        detail: "low" or "high".
        image_id: for messages.

    Raises:
        DecodeError: empty, truncated, or not an image.
        ImageTooLargeError: more pixels than are safe to allocate.
    """
    width, height = target_size(price, *read_size(data), detail)
    # one pixel more than wanted, because the decoder rounds down where it reduces; it does not tell which side is which
    reduced = DecodeTarget(short_side_px=min(width, height) + 1, long_side_px=max(width, height) + 1)
    decoded = decode_image(data, image_id=image_id, target=reduced)
    size = target_size(price, decoded.width, decoded.height, detail)
    image = decoded.pil()
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    jpeg = buffer.getvalue()
    return SentImage(jpeg=jpeg, width=size[0], height=size[1], sha256=hashlib.sha256(jpeg).hexdigest())


def data_url(jpeg: bytes) -> str:
    """The JPEG inside a URL, as the API takes it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def read_size(data: bytes) -> tuple[int, int]:
    """The size of an encoded image from its header, without decoding it.

    Args:
        data: the file; of most formats the first kilobytes do.

    Returns:
        Width and height in pixels of the upright image.

    Raises:
        DecodeError: not an image, or its header is cut off.
        ImageTooLargeError: so many pixels that no decoder should be asked.
    """
    if not data:
        raise DecodeError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd EXIF, and about sizes that decoding will refuse
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                turned = _orientation(image) in _QUARTER_TURNED
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(str(error)) from None
    except _PARSER_ERRORS as error:
        raise DecodeError(f"not an image that can be read ({len(data)} bytes; {type(error).__name__})") from None
    return (height, width) if turned else (width, height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none that can be read."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # getexif would decode the whole image in search of one behind the pixels
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except _PARSER_ERRORS:
        return 1

"""The image as it is sent: upright, no larger than the model can use, as JPEG."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
from dataclasses import dataclass

from PIL import Image

from pixelbrain.asking.cost.prices import ModelPrice, target_size
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.encoded import open_encoded, upright_size

__all__ = ["JPEG_QUALITY", "SentImage", "data_url", "prepare_photo", "read_size"]

#: No visible artefacts at half the bytes of quality 95; the tokens depend on the size in pixels alone.
JPEG_QUALITY = 88


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
    with open_encoded(data, max_pixels=sys.maxsize) as image:
        return upright_size(image)

"""The image as it is sent: upright, no larger than the model can use, as JPEG; or the URL of the original."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixelbrain.asking.answer_records import Outcome
from pixelbrain.asking.cost.image_tokens import Detail
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.questions.question import AnswerStatus
from pixelbrain.asking.request.body import answer_key
from pixelbrain.asking.settings import AskSettings
from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.encoded import open_encoded
from pixelbrain.images.limits import MAX_PIXELS
from pixelbrain.images.metadata import upright_size

logger = logging.getLogger(__name__)

#: No visible artefacts at half the bytes of quality 95; the tokens depend on the size in pixels alone.
JPEG_QUALITY = 88


def prepare_photo(
    data: bytes, *, price: ModelPrice, detail: Detail, image_id: str = "", max_pixels: int = MAX_PIXELS
) -> tuple[bytes, tuple[int, int]]:
    """Bring an image to what the model can use at this level of detail.

    The same bytes give the same JPEG, so that an answer is found again.

    `data`, `image_id` and `max_pixels` are as `decode_image` has them.

    Returns:
        A JPEG, upright RGB, without the original's metadata: no place and no camera leave the house; and its width and
        height in pixels.

    Raises:
        DecodeError: empty, truncated, or not an image.
        ImageTooLargeError: more pixels than are safe to allocate.
    """
    width, height = price.tokens.target(*read_size(data, max_pixels=max_pixels), detail)
    # one pixel more than wanted, because the decoder rounds down where it reduces; it does not tell which side is which
    reduced = DecodeTarget(short_side_px=min(width, height) + 1, long_side_px=max(width, height) + 1)
    decoded = decode_image(data, image_id=image_id, target=reduced, max_pixels=max_pixels)
    size = price.tokens.target(decoded.width, decoded.height, detail)
    image = decoded.pil()
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue(), size


def data_url(jpeg: bytes) -> str:
    """The JPEG inside a URL, as the API takes it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def read_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """The size of an encoded image from its header, without decoding it; of most formats the first kilobytes do.

    Returns:
        Width and height in pixels of the upright image.

    Raises:
        DecodeError: not an image, or its header is cut off.
    """
    with open_encoded(data, max_pixels=max_pixels) as image:
        return upright_size(image, data)


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image, ready to be asked about."""

    width: int  # of what the model gets, in pixels
    height: int
    url: Callable[[], str]  # a data URL, or a presigned one, made when it is needed
    keys: Mapping[str, str]  # field -> the key under which its answer is remembered


@dataclass(frozen=True)
class PhotoPreparer:
    """Reads images and brings them to what a request takes; safe to share between threads."""

    settings: AskSettings  # what is asked
    price: ModelPrice  # of the model, which knows the sizes it takes
    read: Callable[[str], bytes]  # an image's bytes by its image_id; what it raises is the row's error
    presign: Callable[[str], str] | None = None  # the URL to send for an s3:// image, with `image_urls`

    def prepare(self, entry: Mapping[str, Any]) -> Photo | Outcome:
        """The photo, or what its failing is recorded as; of an `entry` as `Asker.ask_image` takes it."""
        image_id = entry["image_id"]
        try:
            if self.settings.image_urls and self.presign is not None and image_id.startswith("s3://"):
                return self._original(entry, self.presign)
            data = self.read(image_id)
            max_pixels = self.settings.max_megapixels * 1_000_000
            jpeg, size = prepare_photo(
                data, price=self.price, detail=self.settings.detail, image_id=image_id, max_pixels=max_pixels
            )
        except Exception as error:  # the row boundary: whatever reading or decoding raises is this row's
            logger.debug("%s cannot be sent", image_id, exc_info=True)
            return Outcome(status=AnswerStatus.FAILED, error_type=type(error).__name__, error=str(error) or repr(error))
        return self._photo(hashlib.sha256(jpeg).hexdigest(), *size, lambda: data_url(jpeg))

    def _original(self, entry: Mapping[str, Any], presign: Callable[[str], str]) -> Photo:
        sha256, width, height = (entry.get(name) for name in ("sha256", "width", "height"))
        if not (sha256 and width and height):
            data = self.read(entry["image_id"])
            sha256, (width, height) = hashlib.sha256(data).hexdigest(), read_size(data)
        # presigned anew at every try, because such URLs expire
        return self._photo(sha256, width, height, lambda: presign(entry["image_id"]))

    def _photo(self, sha256: str, width: int, height: int, url: Callable[[], str]) -> Photo:
        keys = {q.field: answer_key(sha256, self.settings, q) for q in self.settings.questions}
        return Photo(width=width, height=height, url=url, keys=keys)

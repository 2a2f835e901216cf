"""The images of a request: decoded, checked, and kept as the few numbers that answers are made of."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import ipaddress
import urllib.parse
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp
import yarl
from PIL import Image, ImageStat

from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.settings import Settings

__all__ = ["ImageFacts", "ImageReader", "image_facts"]

_FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_CACHED = 200_000  # images whose facts are remembered; some 300 bytes each
_LARGE_BYTES = 300_000  # decoded in a thread above this, so that others are not kept waiting


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the fake knows about an image."""

    sha256: str  # of the encoded bytes, hex
    size_bytes: int
    width: int
    height: int
    red: float  # means over all pixels, 0 to 255
    green: float
    blue: float

    @property
    def colour(self) -> tuple[float, float, float]:
        """The mean colour."""
        return self.red, self.green, self.blue


def image_facts(data: bytes, mime: str | None = None) -> ImageFacts:
    """Decode an image as the API would.

    Args:
        data: the encoded image.
        mime: its declared type, which must be its real one; None to look at the bytes only.

    Raises:
        ApiError: 400, not a whole image of a supported format, animated, or of another format than declared.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = _FORMATS.get(image.format or "")
            if found and not (image.format in ("GIF", "WEBP") and getattr(image, "is_animated", False)):
                width, height = image.size
                red, green, blue = ImageStat.Stat(image.convert("RGB")).mean
            else:
                found = None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, Image.DecompressionBombError):
        found = None
    if found is None:
        raise bad_request(
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
            "['png', 'jpeg', 'gif', 'webp'].",
            code="invalid_image_format",
        )
    if mime is not None and mime != found:
        raise bad_request(f"The image is declared as {mime}, but is {found}.", code="invalid_image_format")
    return ImageFacts(hashlib.sha256(data).hexdigest(), len(data), width, height, red, green, blue)


class ImageReader:
    """Turns image URLs into facts; remembers the decoded ones by the sha256 of the URL."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache: OrderedDict[bytes, ImageFacts] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    async def facts(self, url: str) -> ImageFacts:
        """Of a data URL, or of what is downloaded from loopback.

        Raises:
            ApiError: 400, whatever is wrong with the image or with getting it.
        """
        if not url.startswith("data:"):
            return await self._decode(await self._download(url), None)
        key = hashlib.sha256(url.encode()).digest()
        found = self._cache.get(key)
        if found is None:
            data, mime = self._decode_url(url)
            found = self._cache[key] = await self._decode(data, mime)
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        self._check_size(found.size_bytes)  # of a remembered one, too: the limit may have been lowered
        return found

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _decode(self, data: bytes, mime: str | None) -> ImageFacts:
        self._check_size(len(data))
        if len(data) > _LARGE_BYTES:
            return await asyncio.to_thread(image_facts, data, mime)
        return image_facts(data, mime)

    def _decode_url(self, url: str) -> tuple[bytes, str]:
        head, comma, encoded = url.partition(",")
        mime = head.removeprefix("data:").removesuffix(";base64")
        if not comma or not head.endswith(";base64") or mime not in _FORMATS.values():
            raise bad_request(
                f"Invalid MIME type or encoding in image_url: {head[:60]!r}. Only base64 data URLs of image/png, "
                "image/jpeg, image/gif and image/webp are supported.",
                code="invalid_image_format",
            )
        self._check_size(len(encoded) * 3 // 4 - 2)
        try:
            return base64.b64decode(encoded, validate=True), mime
        except (binascii.Error, ValueError) as error:
            raise bad_request("Invalid base64 image_url.", code="invalid_base64") from error

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._settings.max_image_mb * 1_000_000:
            raise bad_request(
                f"Image is too large: the maximum is {self._settings.max_image_mb:g} MB.", code="image_too_large"
            )

    async def _download(self, url: str) -> bytes:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise bad_request(
                "Invalid image_url: expected a data URL, or an http or https URL.", code="invalid_image_url"
            )
        if not _is_loopback(parts.hostname):
            raise bad_request(f"Error while downloading {parts.hostname}: the fake reaches loopback only.",
                              code="invalid_image_url")  # fmt: skip
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        most = int(self._settings.max_image_mb * 1_000_000) + 1
        data = bytearray()
        try:
            # A presigned URL's signature covers its encoding: send it as it came.
            async with self._session.get(yarl.URL(url, encoded=True), allow_redirects=False) as response:
                if response.status != 200:
                    raise _not_downloaded(url, f"status {response.status}")
                while len(data) < most and (chunk := await response.content.read(most - len(data))):
                    data += chunk
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            raise _not_downloaded(url, type(error).__name__) from error
        return bytes(data)


def _not_downloaded(url: str, why: str) -> ApiError:
    """Without the query: that of a presigned URL is a secret."""
    return bad_request(f"Error while downloading {url.partition('?')[0]} ({why}).", code="invalid_image_url")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

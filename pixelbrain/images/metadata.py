"""What decoding needs of EXIF and XMP: how the photo lies, that its colours are Adobe RGB; and when it was taken."""

from __future__ import annotations

import re
from datetime import datetime

from PIL import ExifTags, Image

from pixelbrain.images.containers import png_chunks, primary_properties
from pixelbrain.images.encoded import PARSER_ERRORS

#: EXIF 2.32, the tag Orientation: those that stand on their side.
QUARTER_TURNED = frozenset({5, 6, 7, 8})
_ORIENTATION = ExifTags.Base.Orientation
_OFFSET = re.compile(r"[+-]([01]\d|2[0-3]):[0-5]\d")
#: As an attribute or an element, in both kinds of quotes; XMP is text of which nothing else is needed.
_IN_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")

_GIF_XMP, _XMP_ENDS = b"XMP DataXMP", b"</x:xmpmeta>"
_PNG_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"  # not compressed, and of no language (XMP, part 3, section 1.1.5)


def orientation(image: Image.Image, data: bytes) -> int:
    """What is left to turn of an image once it is loaded, as a value of EXIF's Orientation, 1 to 8; 1: nothing.

    EXIF's tag counts, and where there is none that can be read, that of XMP, whatever the format. In HEIC and AVIF the
    container's own turning (`irot`, `imir`) stands in the place of EXIF's tag, which by their standards is only a copy
    of it. The image is opened and not loaded.
    """
    found = _tag(image, data)
    if image.format == "HEIF":  # turned by its decoder; its plugin sets EXIF's tag to 1, and takes XMP's away
        kinds = {kind for kind, _ in primary_properties(data)}
        found = 1 if found or kinds & {b"irot", b"imir"} else image.info.get("original_orientation")
    if found:
        return 1 if image.format == "TIFF" else found  # Pillow turns a TIFF itself while it loads it
    return _of_xmp(image, data)


def upright_size(image: Image.Image, data: bytes) -> tuple[int, int]:
    """Width and height of an image that was opened and not loaded, as it will be when it stands upright."""
    lies = orientation(image, data)
    if image.format == "TIFF" and _ORIENTATION not in image.tag_v2:  # type: ignore[attr-defined]
        lies = _tag(image, data) or lies  # out of XMP: Pillow heeds it, but not yet in the size
    return (image.height, image.width) if lies in QUARTER_TURNED else (image.width, image.height)


def is_adobe_rgb(image: Image.Image, data: bytes) -> bool:
    """Whether EXIF has the mark of Adobe RGB: an interoperability index of R03 (DCF 2.0), which cameras write."""
    try:
        return exif_of(image, data).get_ifd(ExifTags.IFD.Interop).get(1) == "R03"
    except PARSER_ERRORS:
        return False


def taken_at(image: Image.Image, data: bytes) -> str | None:
    """When the camera took it, by EXIF's DateTimeOriginal, as ISO 8601 in the camera's own time: 2024-05-01T12:34:56.

    With the offset from UTC at its end, as +02:00, where OffsetTimeOriginal has it, and without one otherwise: nobody
    knows then. None where there is no such time, or none that a calendar has.
    """
    try:
        found = exif_of(image, data).get_ifd(ExifTags.IFD.Exif)
        said = str(found.get(ExifTags.Base.DateTimeOriginal, "")).rstrip("\0 ")
        if not said:  # as of most of what is no photo: an error of strptime costs more than all else here
            return None
        time = datetime.strptime(said[:19], "%Y:%m:%d %H:%M:%S").isoformat()
        offset = str(found.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\0 ")
    except PARSER_ERRORS:  # what it says is no time: a damaged EXIF block does not cost the photo
        return None
    return time + offset if _OFFSET.fullmatch(offset) else time


def _tag(image: Image.Image, data: bytes) -> int | None:
    """EXIF's Orientation, or XMP's where Pillow finds it and EXIF has none; None: there is none that can be read."""
    try:
        found = exif_of(image, data).get(_ORIENTATION)
    except PARSER_ERRORS:  # a damaged EXIF block does not cost the photo
        return None
    return found if isinstance(found, int) and 1 <= found <= 8 else None


def exif_of(image: Image.Image, data: bytes) -> Image.Exif:
    """An image's EXIF block, to which Pillow adds XMP's orientation."""
    if image.format == "PNG" and "exif" not in image.info:  # it may stand behind the pixels
        for kind, start, end in png_chunks(data):
            if kind == b"eXIf":
                image.info["exif"] = b"Exif\0\0" + data[start:end]
    return Image.Image.getexif(image)  # that of a PNG itself would decode all of it


def xmp_packet(image: Image.Image, data: bytes) -> bytes:
    """An opened image's XMP packet, in whatever format; b"": there is none."""
    text = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    if image.format == "GIF":  # it stands in it as it is
        text = b"".join(data.partition(_GIF_XMP)[2].partition(_XMP_ENDS)[:2])
    if image.format == "PNG" and not text:  # it may stand behind the pixels
        for kind, start, end in png_chunks(data):
            if kind == b"iTXt" and data.startswith(_PNG_XMP, start):
                text = data[start + len(_PNG_XMP) : end]
    if isinstance(text, tuple):  # a TIFF's, as numbers
        text = bytes(one & 255 for one in text if isinstance(one, int))
    return text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)


def _of_xmp(image: Image.Image, data: bytes) -> int:
    found = _IN_XMP.search(xmp_packet(image, data))
    return int(found[1]) if found else 1

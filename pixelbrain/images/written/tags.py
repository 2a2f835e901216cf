"""EXIF, XMP and IPTC of a photo as one row: when, where and with what it was taken, and what people said of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from PIL import ExifTags, Image

from pixelbrain.images.encoded import PARSER_ERRORS
from pixelbrain.images.metadata import exif_of, xmp_packet
from pixelbrain.images.written.packets import Iptc, Xmp, read_iptc
from pixelbrain.images.written.values import clean_text, number_of, whole_of

#: What is read, null where the file does not say it, or says what cannot be.
FIELDS: tuple[pa.Field, ...] = (
    pa.field("taken_at", pa.timestamp("ms")),  # by the clock of the camera, wherever it was
    pa.field("utc_offset_minutes", pa.int16()),  # of that clock, east positive; null: nobody knows
    pa.field("make", pa.string()),
    pa.field("model", pa.string()),
    pa.field("lens", pa.string()),
    pa.field("exposure_s", pa.float64()),
    pa.field("f_number", pa.float32()),
    pa.field("iso", pa.int32()),
    pa.field("focal_length_mm", pa.float32()),
    pa.field("focal_length_35mm", pa.float32()),  # of a lens with that view on 35 mm film
    pa.field("flash", pa.bool_()),  # whether it fired
    pa.field("latitude", pa.float64()),  # degrees, north positive
    pa.field("longitude", pa.float64()),  # degrees, east positive
    pa.field("altitude_m", pa.float64()),  # above sea level
    pa.field("rating", pa.int8()),  # 0 to 5 stars
    pa.field("keywords", pa.list_(pa.string())),
    pa.field("title", pa.string()),
    pa.field("description", pa.string()),
    pa.field("orientation", pa.int8()),  # EXIF's, 1 to 8, as written: of the stored pixels, not of ours
)

_NAMES = tuple(field.name for field in FIELDS)
_TURNED = "original_orientation"  # of a HEIC, in Pillow's `info`

_NAME, _TITLE, _DESCRIPTION, _KEYWORD, _KEYWORDS = 100, 300, 2000, 100, 200  # characters, and how many keywords

_TAG = ExifTags.Base
_XP_TITLE, _XP_KEYWORDS = 0x9C9B, 0x9C9E  # Windows Explorer's, in UTF-16
_RATING = 0x4746
_IPTC_TITLE, _IPTC_KEYWORDS, _IPTC_CAPTION = 5, 25, 120

_TIME = re.compile(
    r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)
_MOST_OFFSET = 14 * 60  # Kiribati's
#: Time, its fraction of a second, and its offset from UTC; the second were scanned, or written at once.
_TIMES = (
    (_TAG.DateTimeOriginal, _TAG.SubsecTimeOriginal, _TAG.OffsetTimeOriginal),
    (_TAG.DateTimeDigitized, _TAG.SubsecTimeDigitized, _TAG.OffsetTimeDigitized),
)
_XMP_TIMES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_XMP_DEGREES = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d{0,15})?)(?:,(\d{1,2}(?:\.\d{0,15})?))?([NSEW])", re.ASCII)
_WITH_LETTERS = {"latitude": ("NS", 90), "longitude": ("EW", 180)}


def read_written(image: Image.Image, data: bytes) -> dict[str, Any]:
    """The values of `FIELDS`. What one block says wrongly is looked for in the next, and costs no other value.

    The image is opened and not loaded, as loading a TIFF takes its orientation away.
    """
    return _Written(image, data).row()


class _Written:
    """The blocks of one file; each value is read where it is first found."""

    def __init__(self, image: Image.Image, data: bytes) -> None:
        self._info = image.info
        self._exif: Any = _or(dict, lambda: exif_of(image, data))
        self._camera: Any = _or(dict, lambda: self._exif.get_ifd(ExifTags.IFD.Exif)) if self._exif else {}
        self._gps: Any = _or(dict, lambda: self._exif.get_ifd(ExifTags.IFD.GPSInfo)) if self._exif else {}
        self._xmp: Xmp = _or(lambda: Xmp(b""), lambda: Xmp(xmp_packet(image, data)))
        self._iptc: Iptc = _or(lambda: Iptc(b""), lambda: read_iptc(image))

    def row(self) -> dict[str, Any]:
        said: dict[str, Any] = dict.fromkeys(_NAMES)
        if not (self._exif or self._xmp or self._iptc or _TURNED in self._info):
            return said  # which most pictures of the web do not: a third of what opening a small one costs
        for read in (self._times, self._tools, self._exposure, self._place, self._words):
            try:
                said.update(read())
            except PARSER_ERRORS:  # of damaged blocks, Pillow's own reading of a tag
                continue
        return said

    def _times(self) -> Iterator[tuple[str, Any]]:
        for time, fraction, offset in _TIMES:
            written = f"{clean_text(self._camera.get(time), 40) or ''}"
            if (found := _time(written, clean_text(self._camera.get(fraction), 9))) is not None:
                yield "taken_at", found
                yield "utc_offset_minutes", _offset(clean_text(self._camera.get(offset), 40))
                return
        for written in self._said(*_XMP_TIMES):
            if (found := _time(written)) is not None:
                yield "taken_at", found
                yield "utc_offset_minutes", _offset((_TIME.fullmatch(written) or [None] * 9)[8])
                return

    def _tools(self) -> Iterator[tuple[str, Any]]:
        def name(value: Any) -> str | None:
            return clean_text(value, _NAME)

        yield "make", self._first(name, self._exif.get(_TAG.Make), *self._said("tiff:Make"))
        yield "model", self._first(name, self._exif.get(_TAG.Model), *self._said("tiff:Model"))
        yield "lens", self._first(name, self._camera.get(_TAG.LensModel), *self._said("exifEX:LensModel", "aux:Lens"))

    def _exposure(self) -> Iterator[tuple[str, Any]]:
        for name, tag, xmp, least, most in (
            ("exposure_s", _TAG.ExposureTime, "exif:ExposureTime", 1e-9, 1e6),
            ("f_number", _TAG.FNumber, "exif:FNumber", 0.1, 1000),
            ("focal_length_mm", _TAG.FocalLength, "exif:FocalLength", 0.01, 1e5),
            ("focal_length_35mm", _TAG.FocalLengthIn35mmFilm, "exif:FocalLengthIn35mmFilm", 0.01, 65534),
        ):  # 0 stands for what is not known
            said = (self._camera.get(tag), *self._said(xmp))
            yield name, self._first(functools.partial(number_of, least=least, most=most), *said)
        # 16 bits of a tag from the time before it was called so; where they are too few, they are all set
        iso = [self._camera.get(_TAG.ISOSpeedRatings)]
        iso = [None if number_of(one, 65535, 65535) else one for one in iso]
        iso += [self._camera.get(_TAG.RecommendedExposureIndex), self._camera.get(_TAG.ISOSpeed)]
        iso += self._said("exifEX:PhotographicSensitivity", "exif:ISOSpeedRatings")
        yield "iso", self._first(lambda value: whole_of(value, 1, 10**8), *iso)
        fired = whole_of(self._camera.get(_TAG.Flash), 0, 65535)
        yield "flash", None if fired is None else bool(fired & 1)

    def _place(self) -> Iterator[tuple[str, Any]]:
        tags = ExifTags.GPS
        latitude = _degrees(self._gps.get(tags.GPSLatitude), self._gps.get(tags.GPSLatitudeRef), "latitude")
        longitude = _degrees(self._gps.get(tags.GPSLongitude), self._gps.get(tags.GPSLongitudeRef), "longitude")
        if latitude is None or longitude is None:  # one alone is no place
            latitude = self._first(lambda said: _xmp_degrees(said, "latitude"), *self._said("exif:GPSLatitude"))
            longitude = self._first(lambda said: _xmp_degrees(said, "longitude"), *self._said("exif:GPSLongitude"))
        if latitude is not None and longitude is not None:
            yield from (("latitude", latitude), ("longitude", longitude))
        for height, below in (
            (self._gps.get(tags.GPSAltitude), self._gps.get(tags.GPSAltitudeRef)),
            (next(iter(self._said("exif:GPSAltitude")), None), next(iter(self._said("exif:GPSAltitudeRef")), None)),
        ):
            if (metres := number_of(height, 0, 1e6)) is not None:  # the space station's is 4e5
                below = below[0] if isinstance(below, bytes) and below else below
                yield "altitude_m", -metres if whole_of(below, 0, 3) in (1, 3) else metres  # EXIF 3.0 has four
                return

    def _words(self) -> Iterator[tuple[str, Any]]:
        # of people's words those of XMP first, which all programs write; EXIF has what cameras say of each photo
        stars = (*self._said("xmp:Rating"), self._exif.get(_RATING))
        yield "rating", self._first(lambda value: whole_of(value, 0, 5), *stars)
        words = (*self._said("dc:subject"), *self._iptc.values(_IPTC_KEYWORDS))
        words = (*words, *(_utf16(self._exif.get(_XP_KEYWORDS)) or "").split(";"))
        found = dict.fromkeys(filter(None, (clean_text(word, _KEYWORD) for word in words)))
        yield "keywords", list(found)[:_KEYWORDS] or None
        titles = (*self._said("dc:title"), *self._iptc.values(_IPTC_TITLE), _utf16(self._exif.get(_XP_TITLE)))
        yield "title", self._first(lambda value: clean_text(value, _TITLE), *titles)
        texts = (*self._said("dc:description"), *self._iptc.values(_IPTC_CAPTION))
        texts = (*texts, self._exif.get(_TAG.ImageDescription))
        yield "description", self._first(lambda value: clean_text(value, _DESCRIPTION), *texts)
        lies = (self._info.get(_TURNED), self._exif.get(_TAG.Orientation))  # HEIC's, before it is turned
        yield "orientation", self._first(lambda value: whole_of(value, 1, 8), *lies)

    def _said(self, *names: str) -> list[str]:
        """The texts of these properties of XMP."""
        return [value for name in names for value in self._xmp.values(name)]

    @staticmethod
    def _first(read: Callable[[Any], Any], *said: Any) -> Any:
        """The first that can be read."""
        return next((value for value in map(read, said) if value is not None), None)


def _or(instead: Callable[[], Any], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except PARSER_ERRORS:  # a damaged block does not cost the photo, nor another block
        return instead()


def _time(written: str, fraction: str | None = None) -> datetime | None:
    """A time that a calendar has, to a thousandth of a second."""
    found = _TIME.match(written)
    if found is None:
        return None
    digits = found[7] or (fraction if fraction and re.fullmatch(r"\d+", fraction, re.ASCII) else "")
    try:
        time = datetime(*(int(part or 0) for part in found.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return None
    return time + timedelta(milliseconds=int((digits + "000")[:3]))


def _offset(written: str | None) -> int | None:
    if written == "Z":
        return 0
    found = _OFFSET.fullmatch(written or "")
    minutes = (60 * int(found[2]) + int(found[3])) * (-1 if found[1] == "-" else 1) if found else _MOST_OFFSET + 1
    return minutes if abs(minutes) <= _MOST_OFFSET else None


def _degrees(parts: Any, letter: Any, which: str) -> float | None:
    """Degrees, minutes and seconds as degrees; without the letter nobody knows on which half of the earth."""
    letters, most = _WITH_LETTERS[which]
    letter = (clean_text(letter, 10) or "")[:1].upper()
    parts = parts if isinstance(parts, tuple) else (parts,)
    if letter not in tuple(letters) or not 1 <= len(parts) <= 3:
        return None
    numbers = [number_of(part, 0, most if place == 0 else 60) for place, part in enumerate(parts)]
    if None in numbers:
        return None
    degrees = sum(number / 60**place for place, number in enumerate(numbers))  # type: ignore[operator, misc]
    return None if degrees > most else degrees if letter == letters[0] else -degrees


def _xmp_degrees(written: str, which: str) -> float | None:
    found = _XMP_DEGREES.fullmatch(written.strip())
    return _degrees(tuple(part for part in found.groups()[:3] if part), found[4], which) if found else None


def _utf16(value: Any) -> str | None:
    """What Windows writes as bytes."""
    data = bytes(value) if isinstance(value, tuple) and all(isinstance(one, int) for one in value) else value
    return data[: 4 * _DESCRIPTION * 4].decode("utf-16-le", "replace") if isinstance(data, bytes) else None

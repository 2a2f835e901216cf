"""What cameras and people wrote, out of files with known tags; and what cannot be is null, and costs nothing else."""

from __future__ import annotations

import struct
import zlib
from datetime import datetime
from typing import Any

import pillow_heif
import pyarrow as pa
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from pixelbrain.images.decode import DecodeTarget, decode_image
from pixelbrain.images.written.tags import FIELDS
from tests.hostile.case import encode, picture, png_chunk, xmp_options

pillow_heif.register_heif_opener()  # to write them
FORMATS = {
    "JPEG": {}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "AVIF": {}, "HEIF": {}, "MPO": {},
}  # fmt: skip
IFD, TAG, GPS = ExifTags.IFD, ExifTags.Base, ExifTags.GPS
CAMERA = {
    TAG.DateTimeOriginal: "2024:05:01 12:34:56", TAG.SubsecTimeOriginal: "25", TAG.OffsetTimeOriginal: "-03:30",
    TAG.LensModel: "EF50mm f/1.8", TAG.ExposureTime: IFDRational(1, 200), TAG.FNumber: IFDRational(28, 10),
    TAG.ISOSpeedRatings: 800, TAG.FocalLength: IFDRational(50, 1), TAG.FocalLengthIn35mmFilm: 80, TAG.Flash: 0x19,
}  # fmt: skip
PLACE = {
    GPS.GPSLatitudeRef: "S", GPS.GPSLatitude: (IFDRational(33, 1), IFDRational(51, 1), IFDRational(3000, 100)),
    GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (IFDRational(151, 1), IFDRational(125, 10), IFDRational(0, 1)),
    GPS.GPSAltitudeRef: b"\x01", GPS.GPSAltitude: IFDRational(85, 10),
}  # fmt: skip
PHOTO = {TAG.Make: "Canon", TAG.Model: "EOS R6", TAG.Orientation: 6}
SAID = {
    "taken_at": datetime(2024, 5, 1, 12, 34, 56, 250_000), "utc_offset_minutes": -210, "make": "Canon",
    "model": "EOS R6", "lens": "EF50mm f/1.8", "exposure_s": 0.005, "f_number": 2.8, "iso": 800, "focal_length_mm": 50,
    "focal_length_35mm": 80, "flash": True, "latitude": -(33 + 51 / 60 + 30 / 3600), "longitude": 151 + 12.5 / 60,
    "altitude_m": -8.5, "orientation": 6,
}  # fmt: skip


def exif(photo: dict = PHOTO, camera: dict = CAMERA, place: dict = PLACE) -> Image.Exif:
    block = Image.Exif()
    block.update(photo)
    for kind, tags in ((IFD.Exif, camera), (IFD.GPSInfo, place)):
        if tags:
            block.get_ifd(kind).update(tags)
    return block


def packet(inside: str, attributes: str = "") -> bytes:
    spaces = {"xmp": "xap/1.0/", "tiff": "tiff/1.0/", "exif": "exif/1.0/", "aux": "exif/1.0/aux/"}
    known = "".join(f' xmlns:{name}="http://ns.adobe.com/{uri}"' for name, uri in spaces.items())
    text = (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f'{known} xmlns:dc="http://purl.org/dc/elements/1.1/" {attributes}>{inside}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta>   <?xpacket end="w"?>'
    )
    return text.encode()


def listed(name: str, *items: str, kind: str = "Bag") -> str:
    return f"<{name}><rdf:{kind}>{''.join(f'<rdf:li>{one}</rdf:li>' for one in items)}</rdf:{kind}></{name}>"


WORDS = packet(
    listed("dc:subject", "Küste", "boat") + "<dc:title><rdf:Alt><rdf:li xml:lang='de'>Boot</rdf:li>"
    "<rdf:li xml:lang='x-default'>A boat</rdf:li></rdf:Alt></dc:title>",
    'xmp:Rating="4"',
)


def iptc(*sets: tuple[int, bytes], utf8: bool = True) -> bytes:
    records = [(1, 90, b"\x1b%G")] * utf8 + [(2, number, value) for number, value in sets]
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(v)) + v for record, number, v in records)


def with_iptc(block: bytes) -> bytes:
    """A JPEG with the image resource of Photoshop that holds it."""
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(block)) + block + b"\0" * (len(block) % 2)
    data, content = encode(picture()), b"Photoshop 3.0\0" + resource
    return data[:2] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + data[2:]


def written(data: bytes) -> dict[str, Any]:
    """As it lands: through Arrow's types; what is null is left out."""
    values = dict(decode_image(data, target=DecodeTarget(short_side_px=1)).written)
    (row,) = pa.array([values], pa.struct(list(FIELDS))).to_pylist()
    return rounded({name: value for name, value in row.items() if value is not None})


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


@pytest.mark.parametrize("image_format", FORMATS)
def test_all_formats_say_the_same(image_format):
    if image_format == "TIFF":  # EXIF stands in the file's own tags
        own = ImageFileDirectory_v2()
        for tag, value in {**PHOTO, 700: WORDS, IFD.Exif: CAMERA, IFD.GPSInfo: PLACE}.items():
            own[tag] = value
        data = encode(picture(), "TIFF", tiffinfo=own)
    else:
        data = encode(picture(), image_format, exif=exif(), **FORMATS[image_format], **xmp_options(image_format, WORDS))
    words = {"rating": 4, "keywords": ["Küste", "boat"], "title": "A boat"}
    expected = {**SAID, **words}
    if image_format == "AVIF":  # its encoder makes a turn of the container of it
        expected.pop("orientation")
    found = written(data)
    assert {name: found[name] for name in expected} == rounded(expected)
    assert found.keys() - expected.keys() <= {"orientation"}


def test_png_and_gif_say_it_behind_their_pixels_too():
    data = encode(picture(), "PNG")
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + WORDS)
    assert written(data[:-12] + text + data[-12:])["rating"] == 4
    data = encode(picture(), "GIF")
    assert written(data[:-1] + b"\x21\xff\x0bXMP DataXMP" + WORDS + b"\x01\0" + b";")["title"] == "A boat"


def test_iptc_and_windows_say_words_too():
    block = iptc((25, "Küste".encode()), (25, b"boat"), (5, b"A title"), (120, b"Two\r\n lines"))
    assert written(with_iptc(block)) == {
        "keywords": ["Küste", "boat"], "title": "A title", "description": "Two lines"
    }  # fmt: skip
    assert written(with_iptc(iptc((25, "Küste".encode("latin-1")), utf8=False)))["keywords"] == ["Küste"]
    assert written(with_iptc(block[:25])) == {"keywords": ["Küste"]}  # cut off
    windows = exif({0x9C9E: "sea;boat; ;sea\0".encode("utf-16-le"), 0x4746: 3, 0x010E: b"Caf\xc3\xa9"}, {}, {})
    found = written(encode(picture(), exif=windows, xmp=packet(listed("dc:subject", "boat", "rope"))))
    assert found == {"keywords": ["boat", "rope", "sea"], "rating": 3, "description": "Café"}


def test_xmp_stands_in_where_exif_says_nothing():
    said = packet(
        "<exif:GPSAltitude>170/2</exif:GPSAltitude>" + listed("exif:ISOSpeedRatings", "100", kind="Seq"),
        'tiff:Make="Nikon" aux:Lens="35mm" exif:ExposureTime="1/60" xmp:CreateDate="2020-02-29T23:59:58.5+05:45" '
        'exif:GPSLatitude="47,30.5N" exif:GPSLongitude="122,20,30W" exif:GPSAltitudeRef="0"',
    )
    found = written(encode(picture(), xmp=said))
    assert found == rounded(
        {
            "taken_at": datetime(2020, 2, 29, 23, 59, 58, 500_000), "utc_offset_minutes": 345, "make": "Nikon",
            "lens": "35mm", "exposure_s": 1 / 60, "iso": 100, "latitude": 47 + 30.5 / 60,
            "longitude": -(122 + 20 / 60 + 30 / 3600), "altitude_m": 85.0,
        }
    )  # fmt: skip
    both = written(encode(picture(), exif=exif(), xmp=said))
    assert (both["make"], both["iso"], both["utc_offset_minutes"]) == ("Canon", 800, -210)  # EXIF comes first


NOTHING = IFDRational(0, 0)
BAD: dict[str, tuple[dict, dict, dict]] = {
    "no number": ({}, {TAG.ExposureTime: NOTHING, TAG.FNumber: NOTHING, TAG.FocalLength: IFDRational(5, 0)}, {}),
    "zero is unknown": ({}, {TAG.FNumber: IFDRational(0, 1), TAG.FocalLengthIn35mmFilm: 0, TAG.ISOSpeedRatings: 0}, {}),
    "year 0": ({}, {TAG.DateTimeOriginal: "0000:00:00 00:00:00"}, {}),
    "no day": ({}, {TAG.DateTimeOriginal: "2023:02:29 10:00:00", TAG.DateTimeDigitized: "    :  :     :  :  "}, {}),
    "latitude of 95": ({}, {}, PLACE | {GPS.GPSLatitude: (IFDRational(95, 1), 0, 0), GPS.GPSAltitude: NOTHING}),
    "minutes of 99": ({}, {}, PLACE | {GPS.GPSLongitude: (1.0, 99.0, 0.0), GPS.GPSAltitude: NOTHING}),
    "no place on earth": ({}, {}, PLACE | {GPS.GPSLongitude: (NOTHING,) * 3, GPS.GPSAltitude: NOTHING}),
    "no letter": ({}, {}, PLACE | {GPS.GPSLatitudeRef: "\0", GPS.GPSAltitude: NOTHING}),
    "too many stars": ({0x4746: 99, TAG.Orientation: 9}, {}, {}),
    "bytes in texts": ({TAG.Make: "\0\0\0", TAG.Model: "\x01\x02 \x7f", TAG.ImageDescription: "  "}, {}, {}),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_null(what):
    photo, camera, place = BAD[what]
    found = written(encode(picture(), exif=exif({TAG.Software: "x", **photo}, camera, place)))
    assert found == {}


@pytest.mark.parametrize("stars", ["-1", "6", "NaN", "inf", "1e999999999", "five", "1/0", ""])
def test_stars_that_are_none(stars):
    assert written(encode(picture(), xmp=packet("", f'xmp:Rating="{stars}"'))) == {}


def test_offsets_that_are_none():
    for offset in ("+25:00", "+14:30", "   :  ", "02:00", "\0"):
        found = written(encode(picture(), exif=exif({}, CAMERA | {TAG.OffsetTimeOriginal: offset}, {})))
        assert found["taken_at"].year == 2024 and "utc_offset_minutes" not in found, offset


def test_texts_are_of_one_line_bounded_and_clean():
    long = "x\u202e\x00".replace("\x00", "") + "é" * 1_000_000
    found = written(encode(picture(), "PNG", **xmp_options("PNG", packet(listed("dc:subject", *["k" * 5000] * 2)))))
    assert [len(word) for word in found["keywords"]] == [100]
    found = written(
        encode(picture(), "PNG", exif=exif({TAG.Make: long.encode(), TAG.Model: "A\tB\r\n\x1b[31mC"}, {}, {}))
    )
    assert len(found["make"]) == 100 and "\u202e" not in found["make"] and found["model"] == "A B [31mC"
    many = packet(listed("dc:subject", *(f"{n}" for n in range(5000))))
    assert len(written(encode(picture(), "PNG", **xmp_options("PNG", many)))["keywords"]) == 200


BROKEN = {
    "cut off": WORDS[:300],
    "no XML": b"<x:xmpmeta>" + b"\xff" * 50,
    "entities": WORDS.replace(b"<x:xmpmeta", b"<!DOCTYPE x [<!ENTITY a 'boom'>]><x:xmpmeta", 1),
    "an encoding that is none": b"<?xml version='1.0' encoding='nonsense'?>" + WORDS,
    "nothing": b"",
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_xmp_costs_no_exif(what):
    found = written(encode(picture(), exif=exif(), xmp=BROKEN[what]))
    assert found == rounded(SAID)


def test_damaged_exif_costs_no_photo():
    """Whatever a byte of the block is: the photo decodes, and each value that is there is one that can be."""
    data = encode(picture(), exif=exif())
    start, end = data.index(b"Exif\0\0") + 6, data.index(b"Exif\0\0") + 6 + len(exif().tobytes()) - 6
    for place in range(start, end):
        found = written(data[:place] + bytes([data[place] ^ (0xFF if place % 2 else 1)]) + data[place + 1 :])
        assert abs(found.get("latitude", 0)) <= 90 and found.get("exposure_s", 0) >= 0
        assert all(len(text) <= 100 for name, text in found.items() if name in ("make", "model", "lens"))


def test_a_block_that_points_nowhere_is_none():
    assert written(encode(picture(), exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")) == {}
    assert written(encode(picture(), "PNG", exif=b"Exif\0\0" + zlib.compress(b"x"))) == {}

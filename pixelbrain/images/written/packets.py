"""The texts of an XMP packet (ISO 16684-1) and of an IPTC block (IIM 4.2), as far as they can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from PIL import Image

from pixelbrain.images.written.values import decode_text

#: Larger packets hold the history of a raw developer, or another picture: nobody's keywords.
_MOST_BYTES = 1024**2
_MOST_VALUES = 1000

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_SPACES = {
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
#: What could make a parser read other files, or a few bytes into gigabytes. No XMP has one.
_DOCTYPE = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.I)

_PHOTOSHOP_IPTC = 0x0404  # the image resource that holds it
_TIFF_IPTC = 33723
_UTF8 = b"\x1b%G"  # ISO 2022, in data set 1:90


class Xmp:
    """The properties of the photo itself in an XMP packet; none where it is broken."""

    def __init__(self, packet: bytes | str) -> None:
        data = packet.encode("utf-8", "replace") if isinstance(packet, str) else packet
        data = data.strip(b"\0 \t\r\n")
        self._described: list[ElementTree.Element] = []
        if data and len(data) <= _MOST_BYTES and not _DOCTYPE.search(data):
            try:
                root = ElementTree.fromstring(data)
            except (ElementTree.ParseError, ValueError, LookupError):  # the last two: of the encoding that it names
                return
            self._described = [one for rdf in root.iter(f"{_RDF}RDF") for one in rdf.findall(f"{_RDF}Description")]

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self._described)

    def values(self, name: str) -> list[str]:
        """The texts of a property, such as `dc:subject`, in order; of an alternative by language the default first."""
        space, _, local = name.partition(":")
        wanted = f"{{{_SPACES[space]}}}{local}"
        for one in self._described:
            if (said := one.get(wanted)) is not None:
                return [said]
            if (element := one.find(wanted)) is not None:
                items = [item for listed in element for item in listed.findall(f"{_RDF}li")][:_MOST_VALUES]
                items.sort(key=lambda item: item.get(_LANGUAGE) != "x-default")
                return [item.text or "" for item in items] if items else [element.text or ""]
        return []


class Iptc:
    """The application record of an IPTC block: texts by the number of their data set (25: keywords)."""

    def __init__(self, block: bytes) -> None:
        found: dict[int, list[bytes]] = {}
        utf8, at = False, 0
        while at + 5 <= len(block) and block[at] == 0x1C:
            record, number, size = block[at + 1], block[at + 2], int.from_bytes(block[at + 3 : at + 5], "big")
            if size & 0x8000 or at + 5 + size > len(block):  # more than 32 KB in one, or cut off
                break
            value, at = block[at + 5 : at + 5 + size], at + 5 + size
            utf8 = utf8 or (record, number, value) == (1, 90, _UTF8)
            if record == 2 and len(found.setdefault(number, [])) < _MOST_VALUES:
                found[number].append(value)
        self._values = {
            number: [one.decode("utf-8", "replace") if utf8 else decode_text(one) for one in values]
            for number, values in found.items()
        }

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self._values)

    def values(self, number: int) -> list[str]:
        """The texts of a data set, in order."""
        return self._values.get(number, [])


def read_iptc(image: Image.Image) -> Iptc:
    """That of an opened JPEG or TIFF."""
    if image.format == "TIFF":
        block = image.tag_v2.get(_TIFF_IPTC)  # type: ignore[attr-defined]
        block = block[0] if isinstance(block, tuple) and len(block) == 1 else block
    else:
        block = image.info.get("photoshop", {}).get(_PHOTOSHOP_IPTC)
    return Iptc(block if isinstance(block, bytes) else b"")

"""Face regions in XMP: those of the Metadata Working Group, and Microsoft's where there are no others.

Regions are fractions of the image as it is stored. Where EXIF says that it lies on its side, they lie on their
side too: so do digiKam and Lightroom, though the guideline leaves it open.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from pixelbrain.errors import PixelbrainError

#: Larger is no sidecar.
MAX_BYTES = 16 * 1024**2

_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
}
Point = tuple[float, float]
#: By EXIF's orientation: where a point of the upright image is stored, and where a stored one stands; in fractions.
_STORED: dict[int, Callable[[float, float], Point]] = {
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (y, 1 - x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (1 - y, x),
}
_UPRIGHT = {**_STORED, 6: _STORED[8], 8: _STORED[6]}  # of all others, twice is nothing


class RegionsError(PixelbrainError):
    """A sidecar that cannot be read."""


@dataclass(frozen=True)
class Region:
    """A named face."""

    name: str
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the upright image


def turned(box: Sequence[float], turn: Callable[[float, float], Point]) -> tuple[float, float, float, float]:
    """A box after a turn of the whole image."""
    (a, b), (c, d) = turn(box[0], box[1]), turn(box[2], box[3])
    return min(a, c), min(b, d), max(a, c), max(b, d)


def write_regions(regions: Sequence[Region], *, width: int, height: int, orientation: int = 1) -> str:
    """A sidecar with these regions.

    Args:
        width, height: of the upright image in pixels.
        orientation: EXIF's, 1 to 8, of the image as it is stored.
    """
    if orientation >= 5:
        width, height = height, width
    items = []
    for region in regions:
        x1, y1, x2, y2 = turned(region.box, _STORED[orientation])
        area = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "w": x2 - x1, "h": y2 - y1}
        values = " ".join(f'stArea:{name}="{value:.6f}"' for name, value in area.items())
        items.append(
            f'     <rdf:li>\n      <rdf:Description mwg-rs:Name={quoteattr(region.name)} mwg-rs:Type="Face">\n'
            f'       <mwg-rs:Area {values} stArea:unit="normalized"/>\n      </rdf:Description>\n     </rdf:li>\n'
        )
    spaces = "".join(f'\n   xmlns:{name}="{_SPACES[name]}"' for name in ("mwg-rs", "stArea", "stDim"))
    people = "".join(f"     <rdf:li>{escape(name)}</rdf:li>\n" for name in dict.fromkeys(r.name for r in regions))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        f' <rdf:RDF xmlns:rdf="{_SPACES["rdf"]}">\n  <rdf:Description rdf:about=""{spaces}\n'
        '   xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">\n'
        f"   <Iptc4xmpExt:PersonInImage>\n    <rdf:Bag>\n{people}    </rdf:Bag>\n   </Iptc4xmpExt:PersonInImage>\n"
        '   <mwg-rs:Regions rdf:parseType="Resource">\n'
        f'    <mwg-rs:AppliedToDimensions stDim:w="{width}" stDim:h="{height}" stDim:unit="pixel"/>\n'
        f"    <mwg-rs:RegionList>\n     <rdf:Bag>\n{''.join(items)}     </rdf:Bag>\n    </mwg-rs:RegionList>\n"
        '   </mwg-rs:Regions>\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
    )


def read_regions(data: bytes, *, orientation: int = 1) -> list[Region]:
    """The named faces of a sidecar, of whichever program. Raises `RegionsError`: it is no XMP.

    `orientation`: EXIF's of the image, 1 to 8.
    """
    if len(data) > MAX_BYTES:
        raise RegionsError(f"{len(data):,} bytes are no sidecar")
    plain = data.replace(b"\0", b"")  # of UTF-16
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:  # XMP has none, and they can make a little text very large
        raise RegionsError("it has a DOCTYPE, which XMP has not")
    try:
        root = ElementTree.fromstring(data.strip().lstrip(b"\xef\xbb\xbf"))
    except (ElementTree.ParseError, ValueError) as error:
        raise RegionsError(f"it is no XML: {error}") from None
    found = list(_of_working_group(root)) or list(_of_microsoft(root))
    turn = _UPRIGHT.get(orientation, _UPRIGHT[1])
    return [Region(name, turned(box, turn)) for name, box in found]


def _of_working_group(root: ElementTree.Element) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    for regions in root.iter(_tag("mwg-rs", "Regions")):
        size = _inside(regions, "mwg-rs", "AppliedToDimensions")
        for item in _items(_inside(regions, "mwg-rs", "RegionList")):
            name, kind = _text(item, "mwg-rs", "Name"), _text(item, "mwg-rs", "Type")
            area = _inside(item, "mwg-rs", "Area")
            if not name or area is None or (kind or "Face").lower() != "face":
                continue
            numbers = [_number(_text(area, "stArea", field)) for field in "xywh"]
            if (_text(area, "stArea", "unit") or "normalized").lower() == "pixel":
                wide, high = (_number(_text(size, "stDim", field)) for field in "wh")
                sides = [wide, high] * 2
                numbers = [n / d if n is not None and d else None for n, d in zip(numbers, sides, strict=True)]
            x, y, w, h = numbers
            if x is not None and y is not None and w and h and w > 0 and h > 0:
                yield name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _of_microsoft(root: ElementTree.Element) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    for info in root.iter(_tag("MP", "RegionInfo")):
        for item in _items(_inside(info, "MPRI", "Regions")):
            name, rectangle = (_text(item, "MPReg", field) for field in ("PersonDisplayName", "Rectangle"))
            numbers = [_number(part) for part in (rectangle or "").split(",")]
            if name and len(numbers) == 4 and None not in numbers:
                x, y, w, h = (number or 0.0 for number in numbers)
                if w > 0 and h > 0:
                    yield name, (x, y, x + w, y + h)


# --- RDF, in the forms in which programs write it: a property is an attribute, an element, or in a Description -------


def _tag(space: str, name: str) -> str:
    return f"{{{_SPACES[space]}}}{name}"


def _inside(node: ElementTree.Element | None, space: str, name: str) -> ElementTree.Element | None:
    if node is None:
        return None
    for holder in (node, *node.findall(_tag("rdf", "Description"))):
        if (found := holder.find(_tag(space, name))) is not None:
            return found
    return None


def _text(node: ElementTree.Element | None, space: str, name: str) -> str | None:
    if node is None:
        return None
    for holder in (node, *node.findall(_tag("rdf", "Description"))):
        if (value := holder.get(_tag(space, name))) is not None:
            return " ".join(value.split())
        if (found := holder.find(_tag(space, name))) is not None:
            first = next(found.iter(_tag("rdf", "li")), found)  # of alternatives of a language, the first
            return " ".join((first.text or "").split())
    return None


def _items(node: ElementTree.Element | None) -> Iterator[ElementTree.Element]:
    if node is not None:
        for bag in node:
            yield from bag.findall(_tag("rdf", "li"))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None

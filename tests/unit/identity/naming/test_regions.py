"""Face regions in XMP: ours, and as other programs write them."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image, ImageOps

from pixelbrain.identity.naming.regions import Region, RegionsError, read_regions, write_regions

FACES = [Region("Ann & Bo <3", (0.1, 0.2, 0.3, 0.5)), Region("דנה", (0.5, 0.5, 0.75, 1.0))]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_written_is_read_however_the_photo_lies(orientation: int):
    text = write_regions(FACES, width=400, height=300, orientation=orientation)
    back = read_regions(text.encode(), orientation=orientation)
    assert [one.name for one in back] == [one.name for one in FACES]
    assert np.allclose([one.box for one in back], [one.box for one in FACES], atol=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_lie_in_the_image_as_it_is_stored(orientation: int):
    """By Pillow's own turning: a white face in a black photo is where the sidecar says."""
    stored = Image.new("L", (40, 30) if orientation < 5 else (30, 40))
    exif = Image.Exif()
    exif[274] = orientation
    text = write_regions([Region("Ann", (0.1, 0.2, 0.3, 0.5))], width=40, height=30, orientation=orientation)
    area = next(ElementTree.fromstring(text).iter("{http://www.metadataworkinggroup.com/schemas/regions/}Area"))
    x, y, w, h = (float(area.get(f"{{http://ns.adobe.com/xmp/sType/Area#}}{name}")) for name in "xywh")
    wide, high = stored.size
    stored.paste(
        255, tuple(round(v) for v in ((x - w / 2) * wide, (y - h / 2) * high, (x + w / 2) * wide, (y + h / 2) * high))
    )
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(buffer))
    assert upright.size == (40, 30) and upright.getbbox() == (4, 6, 12, 15)
    dimensions = next(
        ElementTree.fromstring(text).iter("{http://www.metadataworkinggroup.com/schemas/regions/}AppliedToDimensions")
    )
    assert [int(dimensions.get(f"{{http://ns.adobe.com/xap/1.0/sType/Dimensions#}}{name}")) for name in "wh"] == [
        wide,
        high,
    ]


RDF = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
 xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" xmlns:MP="http://ns.microsoft.com/photo/1.2/"
 xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#">
 <rdf:Description rdf:about="">%s</rdf:Description></rdf:RDF></x:xmpmeta>"""
#: The same property as a resource with elements, in the ways of several programs.
LIGHTROOM = """<mwg-rs:Regions rdf:parseType="Resource">
 <mwg-rs:AppliedToDimensions stDim:w="400" stDim:h="300" stDim:unit="pixel"/>
 <mwg-rs:RegionList><rdf:Bag>
 <rdf:li><rdf:Description mwg-rs:Rotation="0.0" mwg-rs:Name="Ann" mwg-rs:Type="Face">
  <mwg-rs:Area stArea:h="0.3" stArea:w="0.2" stArea:x="0.2" stArea:y="0.35"/></rdf:Description></rdf:li>
 <rdf:li><rdf:Description mwg-rs:Name="Rex" mwg-rs:Type="Pet">
  <mwg-rs:Area stArea:h="0.3" stArea:w="0.2" stArea:x="0.2" stArea:y="0.35"/>
 </rdf:Description></rdf:li>
 <rdf:li><rdf:Description mwg-rs:Type="Face"><mwg-rs:Area stArea:h="0.3" stArea:w="0.2" stArea:x="0.2" stArea:y="0.35"/>
 </rdf:Description></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"""
DIGIKAM = """<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource">
 <mwg-rs:Name>Ann</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type>
 <mwg-rs:Area rdf:parseType="Resource"><stArea:x>0.2</stArea:x>
 <stArea:y>0.35</stArea:y><stArea:w>0.2</stArea:w><stArea:h>0.3</stArea:h><stArea:unit>normalized</stArea:unit></mwg-rs:Area>
 </rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"""
PIXELS = LIGHTROOM.replace(
    'stArea:h="0.3" stArea:w="0.2" stArea:x="0.2" stArea:y="0.35"',
    'stArea:h="90" stArea:w="80" stArea:x="80" stArea:y="105" stArea:unit="pixel"',
)
MICROSOFT = """<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag><rdf:li><rdf:Description
 MPReg:Rectangle="0.1, 0.2, 0.2, 0.3" MPReg:PersonDisplayName="Ann"/></rdf:li><rdf:li><rdf:Description
 MPReg:PersonDisplayName="Bo"/></rdf:li></rdf:Bag></MPRI:Regions></MP:RegionInfo>"""


@pytest.mark.parametrize("said", [LIGHTROOM, DIGIKAM, PIXELS, MICROSOFT, DIGIKAM + MICROSOFT.replace("0.1,", "0.7,")])
def test_other_programs_sidecars_are_read(said: str):
    (one,) = read_regions((RDF % said).encode())
    assert one.name == "Ann" and np.allclose(one.box, (0.1, 0.2, 0.3, 0.5))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no XML"),
        (b"<a><b></a>", "no XML"),
        (b"\xff\xd8\xff", "no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCTYPE"),
        (b"<a/>" + b" " * 17 * 1024**2, "bytes are no sidecar"),
    ],
)
def test_what_is_no_sidecar_is_said_to_be(data: bytes, why: str):
    with pytest.raises(RegionsError, match=why):
        read_regions(data)


@pytest.mark.parametrize(
    "said", ["", LIGHTROOM.replace("0.35", "nan"), LIGHTROOM.replace("0.2", "-0.2"), DIGIKAM.replace("Ann", " ")]
)
def test_regions_that_say_nothing_are_none(said: str):
    assert read_regions((RDF % said).encode()) == []

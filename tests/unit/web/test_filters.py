"""Photos are chosen by what there is, sorted, and taken along; dates are understood; a photo says how it was taken."""

from __future__ import annotations

import csv
import datetime
import io
import re

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.images.written.tags import FIELDS
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.sources.lists import NamedImages
from pixelbrain.web.data.dates import Day, days_and_words
from pixelbrain.web.data.find import Wanted
from tests.unit.report.landed_rows import image_row
from tests.unit.web.visitor import Visitor, key_of, shown

ODD = "file:///photos/odd%0Aname.jpg"
_ANSWER = pa.struct([("answer", pa.string()), *((name, pa.string()) for name in ("status", "error_type", "error"))])
COLUMNS = {
    "exif": schema.module_struct([*FIELDS]),
    "quality": schema.module_struct([pa.field("sharpness", pa.float32()), pa.field("brightness", pa.float32())]),
    "scene": schema.module_struct(
        [pa.field("kind", pa.string()), pa.field("tags", pa.list_(pa.string())), pa.field("outdoors", pa.bool_())]
        + [pa.field("caption", pa.string())]
    ),
}
PHOTOS = [
    ("file:///photos/a.jpg", "2019-07-03", "NIKON CORP", "NIKON D90", 5, 10.0, 300, "beach", ["sea", "sun"], True),
    ("file:///photos/b.jpg", "2019-12-24", "Canon", "EOS 5D", 3, 90.0, 100, "home", ["tree"], False),
    ("file:///photos/z/c.jpg", "2020-07-05", "Canon", "EOS 5D", None, 50.0, 200, "beach", ["sea"], None),
    (ODD, None, None, None, None, None, None, None, None, None),
]  # fmt: skip


@pytest.fixture
def visitor(tmp_path) -> Visitor:
    rows = []
    for image_id, day, make, model, rating, sharpness, size, kind, tags, outdoors in PHOTOS:
        taken = day and datetime.datetime.fromisoformat(f"{day}T10:20:30")
        exif = {"taken_at": taken, "make": make, "model": model, "rating": rating}
        if image_id.endswith("a.jpg"):
            exif |= {
                "utc_offset_minutes": 120, "lens": "50 mm <f/1.8>", "exposure_s": 1 / 250, "f_number": 2.8, "iso": 400,
                "focal_length_mm": 35.0, "latitude": 47.37, "longitude": -8.5, "keywords": ["Alps & co", "x"],
            }  # fmt: skip
        scene = {"kind": kind, "tags": tags, "outdoors": outdoors, "caption": f"words {image_id} " * 30}
        row = image_row(image_id, size_bytes=size, exif=exif, quality={"sharpness": sharpness, "brightness": 0.5})
        rows.append({name: value for name, value in row.items() if name != "colour"} | {"scene": scene})
    rows[1]["scene"] = {"error_type": "ValueError", "error": "<i>too dark</i>", "kind": "home", "tags": ["tree"]}
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *COLUMNS.items()]))
    states = dict.fromkeys(COLUMNS, ModuleState(settings={}, model=None))
    Landing(tmp_path / "out").write_part(table, generation=1, block=0, piece=0, modules=states)
    return Visitor(tmp_path / "out")


def names(visitor: Visitor, address: str) -> list[str]:
    page = visitor.get(f"/photos?{address}").partition("<main")[2]
    return [one[0] for one in re.findall(r'<bdi class="name" title="[^"]*">([^<]*)<', page)]


FOUND = {
    "camera=NIKON+D90": "a",
    "camera=Canon+EOS+5D": "bc",
    "camera=none": "",
    "rating=3": "ab",
    "rating=5": "a",
    "rating=9": "abco",  # no rating is so
    "said=scene.kind%3Dbeach": "ac",
    "said=scene.tags%3Dsea&said=scene.tags%3Dsun": "a",
    "said=scene.outdoors%3Dno": "",
    "said=scene.outdoors%3Dyes": "a",
    "said=scene.caption%3Dx": "",
    "where=exif.rating+%3E+3+or+%22sea%22+in+scene.tags": "ac",
    "where=exif.rating+%3E": "",
    "q=july+2019": "a",
    "q=Jul.+2019": "a",
    "q=3+july+2019": "a",
    "q=2019-12": "b",
    "q=24.12.2019": "b",
    "q=july": "ac",
    "q=%22july+2019%22": "",
    "sort=newest": "cbao",
    "sort=oldest": "abco",
    "sort=sharpest": "bcao",
    "sort=blurred": "acbo",
    "sort=largest": "acbo",
    "sort=smallest": "bcao",
    "sort=name": "abco",
    "sort=odd": "aboc",  # by path
    "sort=newest&rating=3": "ba",
}


def test_photos_are_chosen_and_sorted_by_what_an_address_says(visitor):
    found = {address: "".join(names(visitor, address)) for address in FOUND}
    ordered = {one: text if "sort" in one else "".join(sorted(text)) for one, text in found.items()}
    assert ordered == FOUND


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("dec 2018", "^2018-12"), ("2018 december", "^2018-12"), ("july 3rd, 2019", "^2019-07-03"),
        ("07/2019", "^2019-07"), ("2019/7/3", "^2019-07-03"), ("3.7.2019", "^2019-07-03"), ("may", r"^\d{4}-05"),
        ("13/2019", None), ("40 july 2019", None), ("dec", None), ("2019", None), ("july july 2019", None),
    ],
)  # fmt: skip
def test_dates_as_people_write_them(text, pattern):
    found = days_and_words([(one, False) for one in text.split()])
    days = [one for one in found if isinstance(one, Day)]
    assert [one.pattern for one in found] == [pattern] if pattern else len(days) != 1 or len(found) != 1, found


def test_what_there_is_to_choose_stands_with_counts_under_what_else_is_asked(visitor):
    page = visitor.get("/photos?said=scene.kind%3Dbeach")
    options = dict(re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)<', page))
    assert options["NIKON D90"] == "NIKON D90 (1)" and options["Canon EOS 5D"] == "Canon EOS 5D (1)"
    assert options["2019"] == "2019 (1)" and options["2020-07"] == "2020-07 (1)" and "2019-12" not in options
    assert options["5"] == "★★★★★ (1)" and options["scene.kind=home"] == "home (1)"  # this one instead
    assert options["scene.tags=sea"] == "sea (2)" and "scene.tags=tree" not in options
    assert not [one for one in options if "caption" in one]  # too many values to choose from a list


def test_each_thing_that_is_asked_is_a_chip_that_takes_it_away(visitor):
    asked = Wanted(q="jpg", camera="Canon EOS 5D", rating=3, said=("scene.kind=home",), month="2019", where="width > 1",
                   only="faceless", label="x", sort="newest")  # fmt: skip
    chips = re.findall(r'class="chip" href="/photos\?([^"]*)"', visitor.get(f"/photos?{asked.address()}"))
    assert len(chips) == 8 and asked.filters == 7
    for chip in chips:
        assert chip.count("=") == asked.address().count("=") - 1 and "sort=newest" in chip
    form = visitor.client.get("/photos?q=&name=&label=&said=&said=scene.kind%3Dhome&sort=newest")
    assert form.headers["location"] == "/photos?said=scene.kind%3Dhome&sort=newest"  # what is passed on is short
    assert visitor.client.get("/photos?q=").headers["location"] == "/photos"
    assert 'role="alert"' in visitor.get("/photos?where=widht+%3E+1") and "did you mean width" in shown(
        visitor.get("/photos?where=widht+%3E+1")
    )


def test_what_is_found_is_taken_along(visitor):
    reply = visitor.client.get("/photos/list.txt?sort=oldest")
    assert reply.headers["content-disposition"].startswith("attachment; filename=photos.txt")
    lines = reply.text.splitlines()
    assert lines == ["/photos/a.jpg", "/photos/b.jpg", "/photos/z/c.jpg", ODD]  # a line cannot hold that path
    listed = [one for table in NamedImages(lines).list_images() for one in table["image_id"].to_pylist()]
    assert listed == [one[0] for one in PHOTOS]
    rows = list(csv.DictReader(io.StringIO(visitor.client.get("/photos/list.csv?rating=3").text)))
    assert [row["image_id"] for row in rows] == ["file:///photos/a.jpg", "file:///photos/b.jpg"]
    assert rows[0]["scene.kind"] == "beach"


def test_a_photo_says_how_it_was_taken_and_what_failed(visitor):
    page = visitor.get(f"/photos/{key_of('file:///photos/a.jpg')}?sort=newest")
    text = shown(page)
    for one in (
        "2019-07-03 10:20:30 +02:00", "NIKON D90", "50 mm <f/1.8>", "1/250 s f/2.8 ISO 400 35 mm", "★★★★★",
        "47.37000, -8.50000", "Alps & co", "50.0 %", "3 of 4", "words file:///photos/a.jpg " * 20,
    ):  # fmt: skip
        assert one in text, one
    assert 'href="geo:47.370000,-8.500000"' in page and "<f/1.8>" not in page
    assert '/photos?q=%22Alps+%26+co%22"' in page and "/photos?said=scene.kind%3Dbeach" in page
    before = key_of("file:///photos/b.jpg")
    assert f'rel="prev" href="/photos/{before}?sort=newest"' in page
    failed = shown(visitor.get(f"/photos/{before}"))
    assert "scene failed ValueError <i>too dark</i>" in failed
    visitor.get(f"/photos/{before}?where=no+such")  # the list of photos says what is wrong with it

"""Photos are found by words and filters that stand in the address, shown with all that was said, and their pictures."""

from __future__ import annotations

import datetime
import io
import re
import urllib.parse

import pyarrow as pa
import pytest
from PIL import Image

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, write_table
from pixelbrain.web.data.find import Wanted, find, months
from tests.unit.apps.test_text_search import model  # noqa: F401  (a fixture)
from tests.unit.apps.test_text_search import out as clip_out  # noqa: F401  (a fixture)
from tests.unit.report.conftest import land, photo_file  # noqa: F401  (fixtures)
from tests.unit.report.landed_rows import identity, image_row, labelled, with_faces
from tests.unit.web.visitor import ADDRESS, Visitor, key_of, said, shown

HOSTILE = "file:///photos/%3Cimg%20src=x%20onerror=alert(1)%3E.jpg"
LONG = "n" * 200
ARABIC = "\u0644\u064a\u0644\u0649"


@pytest.fixture
def library(land, photo_file) -> Visitor:  # noqa: F811
    """Ann and somebody of a long name on beaches and elsewhere, a broken file, and a name that would be a script."""
    beach, both, plain, old = (photo_file(name) for name in ("beach.jpg", "both.jpg", "plain.jpg", "Ünder öld.jpg"))
    rows = [
        image_row(beach, resnet=labelled("sand_bar", 0.9, "lakeside"), facenet=with_faces(beach, (10, 10, 30, 30)),
                  taken_at="2019-07-03T10:00:00", colour={"red": 0.5, "name": "Deep Blue"}),
        image_row(both, resnet=labelled("sand_bar", 0.7), facenet=with_faces(both, (10, 10, 30, 30), (50, 10, 70, 30)),
                  taken_at="2019-08-03T10:00:00"),
        image_row(plain, resnet=labelled("tabby", 0.2), facenet=with_faces(plain)),
        image_row(old, resnet=labelled("tabby", 0.95), facenet=with_faces(old, (1, 1, 9, 9)), taken_at="1999-01-01"),
        image_row(HOSTILE, facenet=with_faces(HOSTILE, (1, 1, 9, 9))),
        image_row("file:///photos/broken.jpg", status="failed", error_type="DecodeError", error="<b>cut</b> short"),
    ]  # fmt: skip
    people = [
        identity(beach, 0, "person-a"), identity(both, 0, "person-a"), identity(both, 1, "person-b"),
        identity(old, 0, None), identity(HOSTILE, 0, "person-b"),
    ]  # fmt: skip
    landing = land(rows, people, modules=("resnet", "facenet", "colour"))
    visitor = Visitor(landing.storage.local)
    visitor.desk.people.name("person-a", "Ann")
    visitor.desk.people.name("person-b", LONG)
    visitor.desk.again()
    return visitor


def names(visitor: Visitor, address: str) -> list[str]:
    return re.findall(
        r'<bdi class="name" title="[^"]*">([^<]*)<', visitor.get(f"/photos?{address}").partition("<main")[2]
    )


ANN, BOB = key_of("person-a"), key_of("person-b")


EVERYTHING = ["both.jpg", "beach.jpg", "plain.jpg", "Ünder öld.jpg", "&lt;img src=x onerror=alert(1)&gt;.jpg"]
SEARCHES = {
    "": EVERYTHING,
    "q=sand": ["both.jpg", "beach.jpg"],
    "q=SAND+ann": ["both.jpg", "beach.jpg"],
    "q=sand+blue": ["beach.jpg"],
    "q=%22deep+blue%22": ["beach.jpg"],
    "q=%22blue+deep%22": [],
    "q=2019": ["both.jpg", "beach.jpg"],
    "q=2019-07": ["beach.jpg"],
    "q=tabby": ["Ünder öld.jpg"],  # the other one is unsure
    "q=u%CC%88nder": ["Ünder öld.jpg"],
    "q=nothing+like+it": [],
    f"person={ANN}": ["both.jpg", "beach.jpg"],
    f"person={ANN}&person={BOB}": ["both.jpg"],
    "person=0000000000000000": [],
    "label=sand_bar&least=0.8": ["beach.jpg"],
    "label=tabby": ["Ünder öld.jpg"],
    "label=no+such": [],
    "only=unsure": ["plain.jpg"],
    "only=faceless": ["plain.jpg"],
    "only=unknown": ["Ünder öld.jpg"],
    "only=failed": ["broken.jpg"],
    "month=2019-08": ["both.jpg"],
    "month=2019": ["both.jpg", "beach.jpg"],
    f"q=bar&person={BOB}&month=2019-08": ["both.jpg"],
    "least=nan&only=odd&month=never&page=x": EVERYTHING,
}


def test_an_address_is_a_search(library):
    found = {address: sorted(names(library, address)) for address in SEARCHES}
    assert found == {address: sorted(wanted) for address, wanted in SEARCHES.items()}


def test_the_whole_search_stands_in_the_address():
    asked = Wanted(q='a "b c" ü&', person=("1", "2"), label="x y", least=0.5, only="faces", month="2019", group="f")
    pairs = urllib.parse.parse_qsl(asked.address())
    assert Wanted.of(dict(pairs), [value for name, value in pairs if name == "person"]) == asked
    assert asked.words == ["a", "b c", "ü&"] and Wanted().address() == "" and not Wanted().anything


def test_months_and_a_person_by_name(library):
    assert months(library.desk.view().known) == [("2019-08", 1), ("2019-07", 1), ("1999-01", 1)]
    to = library.client.get("/photos?q=sand&name=ann").headers["location"]
    assert to == f"/photos?q=sand&person={ANN}"
    assert "Nobody is called Zoe" in said(library.get(library.client.get("/photos?name=Zoe").headers["location"]))


def test_a_photo_says_all_and_knows_its_neighbours(library):
    known = library.desk.view().known
    rows = find(Wanted(q="sand"), known)
    first, second = (key_of(known.photos.image_id[int(row)].as_py()) for row in rows)
    assert f'class="frame" href="/photos/{first}?q=sand"' in library.get("/photos?q=sand")
    assert f'href="/photos/{first}?person={ANN}"' in library.get(f"/people/{ANN}")
    page = library.get(f"/photos/{first}?q=sand")
    for text in (
        "beach.jpg",
        "80 × 60",
        "2019-07-03 10:00:00",
        "sand bar",
        "90 %",
        "lakeside",
        "Deep Blue",
        "Ann",
        "1 of 2",
    ):
        assert text in page, text
    assert f'href="/photos/{second}?q=sand" data-key="ArrowRight"' in page and "ArrowLeft" not in page
    assert f'href="/photos/{first}?q=sand" data-key="ArrowLeft"' in library.get(f"/photos/{second}?q=sand")
    assert 'href="/photos?q=sand" data-key="Escape"' in page
    face = key_of(schema.face_id(known.photos.image_id[int(rows[0])].as_py(), 0))
    assert "Zoe" in shown(library.say("/faces/say", back=f"/photos/{first}?q=sand", do="is", name="Zoe", face=face))


def test_names_are_text_whatever_they_are(library):
    library.desk.people.name("person-a", f'"><script>alert(1)</script>{ARABIC}')
    library.desk.again()
    key = key_of(HOSTILE)
    for path in (
        "/",
        "/people",
        f"/people/{ANN}",
        f"/people/{BOB}",
        "/photos",
        f"/photos/{key}",
        "/faces",
        "/run",
        "/history",
    ):
        page = library.get(path)
        assert page.count("<script") == 2 and "<img src=x" not in page and "<b>" not in page, path
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|javascript:", page), path
    assert "&lt;img src=x" in library.get(f"/photos/{key}")


def test_failures_by_kind_with_the_command_that_tries_again(library):
    page = shown(library.get("/run"))
    assert "1 failure" in page and "DecodeError" in page and "<b>cut</b> short" in page
    assert f"pixelbrain run SOURCE --out {library.desk.storage.uri} --retry-failed" in page
    assert "0 failures" in shown(library.get("/run?kind=ReadError"))
    assert "DecodeError" in library.get(f"/photos/{key_of('file:///photos/broken.jpg')}")


def picture(visitor: Visitor, path: str) -> Image.Image:
    reply = visitor.client.get(path)
    assert reply.headers["content-type"] == "image/jpeg" and "no-cache" in reply.headers["cache-control"]
    again = visitor.client.get(path, headers={"If-None-Match": reply.headers["etag"]})
    assert again.status_code == 304 and not again.content
    return Image.open(io.BytesIO(reply.content))


def test_pictures_are_made_of_originals_and_a_lost_one_is_grey(library, tmp_path):
    beach = str(next(one for one in library.desk.view().photos.image_id.to_pylist() if "beach" in one))
    key, face = key_of(beach), key_of(schema.face_id(beach, 0))
    assert picture(library, f"/thumbnails/{key}").size == (80, 60)
    assert picture(library, f"/photos/{key}/large").size == (80, 60)
    crop = picture(library, f"/faces/{face}/crop").convert("RGB")
    assert crop.size == (192, 192) and crop.getpixel((96, 96))[0] > 150  # the red half
    lost = library.client.get(f"/thumbnails/{key_of(HOSTILE)}")
    assert lost.status_code == 200 and lost.headers["content-type"].startswith("image/svg")
    assert lost.headers["cache-control"] == "no-store"


def test_what_extract_landed_is_shown_and_no_original_is_read(library):
    view, storage = library.desk.view(), library.desk.storage
    images = view.photos.image_id.to_pylist()
    pictures = [
        {"image_id": one, "version": "1", "box": box, "picture": f"{n} {what}".encode()}
        for n, one in enumerate(images)
        for what, box in (("thumb", None), ("face", [10.0, 10.0, 30.0, 30.0]), ("face 2", [50.0, 10.0, 70.0, 30.0]))
    ]
    pictures.append({"image_id": images[0], "version": "old", "box": None, "picture": b"another version"})

    write_table(
        storage,
        f"{schema.PICTURES}/part-000001-00000000-000.parquet",
        pa.Table.from_pylist(pictures, schema.PICTURE_SCHEMA),
    )
    library.desk.pictures.look()
    both = next(n for n, one in enumerate(images) if "both" in one)
    for n, one in enumerate(images[:4]):
        assert library.client.get(f"/thumbnails/{key_of(one)}").content == f"{n} thumb".encode()
    for number, what in ((0, "face"), (1, "face 2")):
        path = f"/faces/{key_of(schema.face_id(images[both], number))}/crop"
        assert library.client.get(path).content == f"{both} {what}".encode()


def test_search_by_a_photo_refuses_what_is_none(library):
    origin = {"Origin": "http://127.0.0.1:8470"}
    for data in (b"", b"no photo", b"GIF89a\xff\xff\xff\xff"):
        reply = library.client.post("/photos/nearest", files={"photo": ("../../x.jpg", data)}, headers=origin)
        assert reply.status_code == 303
        page = library.get(reply.headers["location"])
        assert said(page) and "/tmp" not in said(page)
    assert library.client.post("/photos/nearest", files={"a": b"", "b": b""}, headers=origin).status_code == 400


def test_what_is_nearest_to_a_photo_is_kept_under_its_own_address(library, monkeypatch):
    image = library.desk.view().photos.image_id[1].as_py()
    asked = []

    def nearest(stages, photo, *, by, k, models):
        asked.append((by, models))
        matches = [{"image_id": one, "distance": 0.25} for one in (image, "file:///gone.jpg")]
        return {"queries": [{"title": "the whole photo", "matches": matches}]}

    monkeypatch.setattr("pixelbrain.apps.photo_search.search_photo", nearest)
    sent = {"files": {"photo": ("<me>.jpg", b"x")}, "data": {"by": "images"}, "headers": {"Origin": ADDRESS}}
    to = library.client.post("/photos/nearest", **sent).headers["location"]
    for _again in range(2):
        page = library.get(to)
        assert "&lt;me&gt;.jpg" in page and key_of(image) in page and "0.25" in page and "gone" not in page
    library.client.post("/photos/nearest", **sent)
    assert [by for by, _models in asked] == ["images"] * 2 and asked[0][1] is asked[1][1] is library.desk.models
    assert "not kept any more" in said(library.get(library.client.get("/photos/nearest?found=x").headers["location"]))


def test_what_a_camera_wrote_is_found_too(tmp_path):
    """By the modules' own fields: texts, lists of them, what is true, and the time, also where EXIF itself had none."""
    fields = [("taken_at", pa.timestamp("ms")), ("model", pa.string()), ("keywords", pa.list_(pa.string()))]
    columns = {
        "exif": schema.module_struct([pa.field(*one) for one in [*fields, ("camera", pa.string())]]),
        "is_red": schema.module_struct([pa.field("is_red", pa.bool_()), pa.field("phash", pa.string())]),
    }
    taken = datetime.datetime(2021, 5, 6, 7, 8, 9, 123000)
    rows = [
        image_row("file:///a.jpg", exif={"taken_at": taken, "camera": "Ricoh GR", "keywords": ["Alps", "Snow day"]})
        | {"is_red": {"is_red": True, "phash": "abcabc"}},
        image_row("file:///b.jpg", exif=None, is_red={"is_red": False}),
    ]
    table = pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *columns.items()]))
    states = dict.fromkeys(columns, ModuleState(settings={}, model=None))
    Landing(tmp_path / "out").write_part(table, generation=1, block=0, piece=0, modules=states)
    known = Visitor(tmp_path / "out").desk.view().known
    for words, found in {"ricoh": 1, "alps snow": 1, "2021-05-06": 1, "red": 1, "abcabc": 0}.items():
        assert len(find(Wanted(q=words), known)) == found, words
    assert months(known) == [("2021-05", 1)]


def test_photos_are_found_by_what_is_to_be_seen(clip_out, made):  # noqa: F811
    visitor, other = Visitor(clip_out), Visitor(made)
    assert 'action="/photos/like"' in visitor.get("/photos") and 'action="/photos/like"' not in other.get("/photos")
    page = visitor.get("/photos/like?text=a+dog+on+a+beach")
    assert re.findall(r'<bdi class="name" title="[^"]*">([^<]*)<', page) == ["2.jpg", "0.jpg", "1.jpg"]
    assert "a dog on a beach" in shown(page) and "0.00" in page
    for text, why in (("", "is empty"), ("cat " * 80, "too long")):
        assert why in said(visitor.get(visitor.client.get("/photos/like", params={"text": text}).headers["location"]))
    assert "no clip vectors" in said(other.get(other.client.get("/photos/like?text=a").headers["location"]))

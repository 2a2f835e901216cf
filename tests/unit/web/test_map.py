"""The map in the page: points for the script, a part of it as an address, and how it is made."""

from __future__ import annotations

import io
import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelbrain.identity.mapping.map import make_map
from pixelbrain.landing.landing import Landing
from pixelbrain.web.data.area import _DIGITS, Area
from pixelbrain.web.data.colours import COLOURS, OTHERS, _coloured, colour_by
from tests.unit.web.visitor import Visitor, key_of, said, shown

DTYPES = {"x": "<f4", "y": "<f4", "keys": "<u8", "photos": "<u8", "codes": "u1"}


def points(data: bytes) -> dict[str, np.ndarray]:
    n = int(np.frombuffer(data, "<u4", 1)[0])
    found, at = {"head": np.frombuffer(data, "<f4", 3, 4)}, 16
    for name, kind in DTYPES.items():
        found[name] = np.frombuffer(data, kind, n, at)
        at += found[name].nbytes
    assert at == len(data)
    return found


def address(corners: list[tuple[float, float]], made: str, keys: str = "", name: str = "faces", colour: str = "person"):
    numbers = [round(one * 4095) for one in itertools.chain(*corners)]
    line = "".join(_DIGITS[one // 64] + _DIGITS[one % 64] for one in numbers)
    return f"{name}~{made}~{colour}~{keys}~{line}"


SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]


@pytest.fixture(scope="module")
def with_map(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(made, tmp_path_factory.mktemp("mapped") / "out"))
    make_map(Landing(out), "faces")
    return out


@pytest.fixture
def mapped(with_map: Path, tmp_path: Path) -> Visitor:
    return Visitor(shutil.copytree(with_map, tmp_path / "out"))


def test_points_and_what_they_are_called(mapped: Visitor):
    reply = mapped.client.get("/map/points?of=faces&colour=person")
    found, photos = points(reply.content), mapped.desk.view().photos
    assert len(photos.face_id) == 24
    x0, y0, side = found["head"]
    assert ((found["x"] - x0) / side).min() > 0 and ((found["y"] - y0) / side).max() < 1
    assert {f"{one:016x}" for one in found["keys"].tolist()} == set(map(key_of, photos.face_id.to_pylist()))
    assert {f"{one:016x}" for one in found["photos"].tolist()} == set(map(key_of, photos.image_id.to_pylist()))
    assert np.bincount(found["codes"]).tolist() == [6, 6, 6, 6]  # a colour each of four people
    told = mapped.client.get(f"/map/about?faces=1&key={found['keys'][0]:016x}").json()
    assert told["name"].startswith("Person ") and told["text"].endswith(".jpg")
    assert mapped.client.get("/map/about?key=0123456789abcdef").status_code == 404

    same = {"If-None-Match": reply.headers["etag"]}
    assert mapped.client.get("/map/points?of=faces&colour=person", headers=same).status_code == 304
    assert mapped.client.get("/map/points?of=faces&colour=label", headers=same).status_code == 200
    mapped.desk.people.hide(mapped.desk.view().known.ids[0])
    mapped.desk.again()
    assert mapped.client.get("/map/points?of=faces&colour=person", headers=same).status_code == 200
    mapped.get("/map/points?of=images", 404)

    page = mapped.get("/map?of=faces")
    assert len(re.findall(r'name="show"[^>]* checked', page)) == 4 and "24 faces" in shown(page)
    with Image.open(io.BytesIO(mapped.client.get("/map/picture?of=faces").content)) as picture:
        assert len({colour for _n, colour in picture.getcolors(99) if colour[3]}) == 4


@pytest.mark.parametrize("colour", ["label", "person", "year", "month", "camera", "status", "said-mood", "none"])
def test_colours(mapped: Visitor, colour: str):
    assert (points(mapped.client.get(f"/map/points?of=faces&colour={colour}").content)["codes"] <= COLOURS + 1).all()


def test_the_commonest_have_a_colour_each():
    values = np.array([one for one in range(20) for _ in range(30 - one)] + [-1, -1])
    found = _coloured(values, [f"v{one}" for one in range(20)], str.upper, "Nothing")
    assert [(one.name, one.count) for one in found.legend] == [
        *((f"V{one}", 30 - one) for one in range(COLOURS)), ("Others", sum(30 - one for one in range(COLOURS, 20))),
        ("Nothing", 2),
    ]  # fmt: skip
    assert found.codes[-1] == COLOURS + 1 and found.codes[-3] == OTHERS
    assert found.shown(["none", found.legend[1].key]).sum() == 2 + 29 and found.shown([]).all()


def test_a_part_of_it_is_a_search(mapped: Visitor):
    known = mapped.desk.view().known
    places = mapped.desk.maps.places("faces", known.photos)
    whole = address(SQUARE, places.made)
    assert "24 photos found" in shown(mapped.get(f"/photos?area={whole}"))
    page = mapped.get(f"/faces?area={whole}")
    assert "24 faces of this part" in shown(page) and page.count('class="pick"') == 24

    # an address holds what the legend showed, and the line: here a slice on the left
    who = colour_by("person", places, known).legend[2]
    assert "6 photos found" in shown(mapped.get(f"/photos?area={address(SQUARE, places.made, who.key)}"))
    left = np.sort(places.unit[:, 0])
    cut = (left[9] + left[10]) / 2
    if left[10] - left[9] > 1e-3:
        piece = address([(0, 0), (cut, 0), (cut, 1), (0, 1)], places.made)
        assert "10 photos found" in shown(mapped.get(f"/photos?area={piece}"))
    # next and previous are of it, and so is a word more
    assert f"area={who.key}" not in mapped.get(f"/photos?area={whole}&q=p00001")
    assert "1 photo found" in shown(mapped.get(f"/photos?area={whole}&q=p00001"))

    # nothing of a map that was made anew, of another one, or of what is none
    for wrong in (address(SQUARE, "0" * 8), address(SQUARE, places.made, name="images"), "x", "a~b~c~d~", whole + "~"):
        assert "0 photos found" in shown(mapped.get(f"/photos?area={wrong}")), wrong
        assert "of nobody" in shown(mapped.get(f"/faces?area={wrong}")) or "No face is there" in mapped.get(
            f"/faces?area={wrong}"
        )
    assert Area.of(whole + "0000" * 200) is None


def test_it_is_made_beside_the_pages(out: Path):
    visitor = Visitor(out)
    page = visitor.get("/map?of=faces")
    assert "There is no map yet" in page and 'name="by" value="faces"' in page
    assert "being made" in said(visitor.say("/map/make", by="faces", back="/map?of=faces"))
    visitor.app._app.state.making.join()
    page = visitor.get("/map?of=faces")
    assert 'id="map"' in page and "24 faces" in shown(page)
    assert "Nothing was changed: there are no vectors called 'clip'" in said(visitor.say("/map/make", by="clip"))

    watcher = Visitor(out, read_only=True)
    assert watcher.post("/map/make", by="faces").status_code == 403
    assert 'action="/map/make"' not in watcher.get("/map?of=images")

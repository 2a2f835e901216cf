"""Duplicates and look-alikes in the page: what is chosen by forms lands, is seen by others, and leads to the lists."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from pixelbrain.identity.lookalikes.duplicates import find_duplicates
from pixelbrain.landing.derived import GROUPS
from pixelbrain.landing.duplicates.choices import ChoiceLog, PhotoRef
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.landing import Landing
from pixelbrain.web.data.columns import key_of
from tests.unit.identity.lookalikes.test_duplicates import BASE, OTHER, land, photo  # noqa: F401  (land: a fixture)
from tests.unit.web.visitor import Visitor, said, shown

LONG = "Maximiliana " * 16


@pytest.fixture
def landed(land) -> Landing:  # noqa: F811
    landing = land(
        photo("a.jpg", size=(800, 600), vector=[1, 0], size_bytes=90_000, sharpness=12.0),
        photo("b <i>.jpg", BASE ^ 1, vector=[1, 0.1]),
        photo(f"{LONG}.jpg", BASE ^ 3, size=(200, 150), vector=[1, 0.2]),
        photo("x.jpg", OTHER, vector=[0, 1]), photo("y.jpg", OTHER ^ 1, size=(200, 150), vector=[0.1, 1]),
    )  # fmt: skip
    names = [f"file:///{one}" for one in ("a.jpg", "b <i>.jpg", "x.jpg")]
    GROUPS.write(landing, pa.table({"image_id": names, "group_id": ["group-1"] * 3, "distance": [0.1, 0.2, 0.3]}))
    return landing


@pytest.fixture
def visitor(landed: Landing, tmp_path: Path) -> Visitor:
    find_duplicates(landed)
    return Visitor(tmp_path)


def key(name: str) -> str:
    return key_of(f"file:///{name}")


def group_of(page: str, name: str) -> str:
    return re.search(rf'id="m-(\w+)-{key(name)}"', page)[1]


def badges(page: str) -> dict[str, str]:
    """What each photo of a page is."""
    return {one[1]: one[0] for one in re.findall(r'<li class="member (\w+) .*?id="m-\w+-(\w+)"', page)}


def choose(visitor: Visitor, do: str, name: str = "a.jpg", *, page: str = "/duplicates", of: str = "duplicates") -> str:
    group = group_of(visitor.get(page), name)
    what = do if do == "apart" else f"{do}:{key(name)}"
    return visitor.say("/duplicates/say", back=f"{page}?stays={group}", of=of, group=group, do=what)


def proposed(landing: Landing) -> list[str]:
    return [row["image_id"][8:] for row in read_duplicates(landing).to_pylist() if not row["keep"]]


def test_groups_with_the_best_and_why(visitor):
    page = visitor.get("/duplicates")
    text = shown(page)
    assert "2 groups" in text and "3 photos of 27.0 kB to drop" in text
    assert "Best: a.jpg , larger: 800 x 600 px, the next 400 x 300" in text and "the same picture: 1 of 64" in text
    assert badges(page)[key("a.jpg")] == "best" and badges(page)[key("b <i>.jpg")] == "drop"
    assert "<i>" not in page and text.index("a.jpg") < text.index("x.jpg")  # what takes most room comes first


def test_of_a_copy_of_a_copy_one_is_told_of_which(land, tmp_path):  # noqa: F811
    rows = [photo("a.jpg", size=(800, 600)), photo("b.jpg", BASE ^ 1), photo("b (1).jpg", BASE ^ 1, sha256="b.jpg")]
    find_duplicates(land(*rows))
    assert "the same bytes, beside b.jpg" in shown(Visitor(tmp_path).get("/duplicates"))


def test_what_is_chosen_lands_is_told_and_can_be_taken_back(visitor, landed):
    page = choose(visitor, "best", "b <i>.jpg")
    assert "b <i>.jpg is the best" in said(page) and "a.jpg" in proposed(landed)
    assert badges(page)[key("b <i>.jpg")] == "best" and badges(page)[key("a.jpg")] == "drop"
    assert "Somebody chose in 1 group" in shown(page) and 'action="/duplicates/undo"' in page
    page = choose(visitor, "keep", "a.jpg")
    assert "to be kept" in said(page) and "a.jpg" not in proposed(landed)
    page = visitor.say("/duplicates/undo", back="/duplicates", number="1")
    assert "Taken back" in said(page) and badges(page)[key("a.jpg")] == "best"
    assert "Taken back" in said(visitor.say("/duplicates/undo", back="/duplicates"))  # the last one that holds
    assert "nothing was chosen" in said(visitor.say("/duplicates/undo", back="/duplicates"))
    choose(visitor, "drop", "b <i>.jpg")
    choose(visitor, "drop", f"{LONG}.jpg")
    assert "one photo of a group stays" in said(choose(visitor, "drop", "a.jpg"))
    page = choose(visitor, "apart", "x.jpg")
    assert "shown no more" in said(page) and "1 group," in shown(page) and "y.jpg" not in proposed(landed)
    page = visitor.say("/duplicates/undo", back="/duplicates")
    assert "The group is there again" in said(page) and "2 groups" in shown(page)
    again = re.search(r'name="number" value="(\d+)">Redo', page)
    assert again and "Done again" in said(visitor.say("/duplicates/undo", back="/duplicates", number=again[1]))
    page = visitor.say("/duplicates/undo", back="/duplicates")
    compared = f"/duplicates/{group_of(page, 'x.jpg')}"  # which is no more: what was said is on the page of all
    to = visitor.post("/duplicates/say", back=compared, do="apart", group=group_of(page, "x.jpg"), of="duplicates")
    page = visitor.get(visitor.client.get(to.headers["location"]).headers["location"])
    assert "shown no more" in said(page) and "Taken back" in said(visitor.say("/duplicates/undo", back="/duplicates"))
    page = visitor.get("/duplicates")
    for wrong in ({"do": "eat"}, {"do": "keep:0"}, {"do": "best:x", "group": "1"}, {}):
        fields = {"group": group_of(page, "a.jpg"), **wrong}
        assert said(visitor.say("/duplicates/say", back="/duplicates", **fields)).startswith("Nothing was changed")


def test_choices_stand_in_the_history_and_can_be_taken_back_there(visitor, landed):
    assert "0 steps" in shown(visitor.get("/history"))
    choose(visitor, "best", "b <i>.jpg")
    choose(visitor, "keep", "a.jpg")
    choose(visitor, "apart", "x.jpg")
    page = visitor.get("/history")
    text = shown(page)
    assert "3 steps" in text and "b <i>.jpg is the best of 3 photos" in text and "a.jpg is to be kept" in text
    assert text.index("x.jpg and 1 other are no duplicates") < text.index("a.jpg is to be kept")  # the last one first
    undo = re.search(r'action="(/duplicates/undo)" class="unseen"', page)  # of the key Z
    page = visitor.say(undo[1], back="/history")
    assert "Taken back: x.jpg and 1 other are no duplicates" in said(page)
    assert "choice 3 taken back" in shown(page) and "(taken back)" in shown(page) and "Redo choice 4" in page
    assert "2 groups" in shown(visitor.get("/duplicates"))
    page = visitor.say("/duplicates/undo", back="/history", number="1")
    assert badges(visitor.get("/duplicates"))[key("a.jpg")] == "best"
    page = visitor.say("/duplicates/undo", back="/history", number="5")  # the undo itself
    assert badges(visitor.get("/duplicates"))[key("b <i>.jpg")] == "best"
    stamp = re.search(r'data-stamp="(\w+)"', visitor.get("/history"))[1]
    ChoiceLog(landed.storage).choose("keep", [PhotoRef(image_id="file:///x.jpg", version="1")])
    visitor.desk._looked = float("-inf")
    assert "chosen among" in visitor.client.get("/changes", params={"since": stamp}).json()["text"]


def test_filters_keep_the_group_that_one_works_on(visitor):
    open_ones = visitor.get("/duplicates?show=open&kind=near")
    assert open_ones.count("data-group") == 2
    group = group_of(open_ones, "a.jpg")
    assert f"/duplicates?show=open&amp;kind=near&amp;stays={group}" in open_ones  # where its form leads back to
    choose(visitor, "keep", f"{LONG}.jpg")
    assert visitor.get("/duplicates?show=open").count("data-group") == 1
    assert visitor.get(f"/duplicates?show=open&stays={group}").count("data-group") == 2
    assert group_of(visitor.get("/duplicates?show=chosen"), "a.jpg") == group
    assert "No group is so" in visitor.get("/duplicates?kind=burst")
    assert visitor.get("/duplicates?kind=eat&show=x&page=99&stays=%00").count("data-group") == 2


def test_two_side_by_side(visitor):
    group = group_of(visitor.get("/duplicates"), "a.jpg")
    page = visitor.get(f"/duplicates/{group}?b={key('b <i>.jpg')}")
    assert "800 × 600 px more" in shown(page) and "12.0 more" in shown(page) and "2 of 2 others, group 1 of 2" in page
    assert 'rel="prev"' in page and "zoom=1" in page and page.count('data-key="k"') == 1
    zoomed = visitor.get(f"/duplicates/{group}?b={key('b <i>.jpg')}&zoom=1")
    assert zoomed.count('width="800" height="600"') == 2 and zoomed.count("data-pane") == 2 and "/full?v=" in zoomed
    for odd in ("?a=x&b=y", f"?a={key('b <i>.jpg')}&b={key('b <i>.jpg')}"):
        assert visitor.get(f"/duplicates/{group}{odd}").count('class="member') == 2
    assert visitor.client.get("/duplicates/0123").headers["location"] == "/duplicates"


def test_lists_to_take_away(visitor):
    choose(visitor, "best", "b <i>.jpg")
    reply = visitor.client.get("/duplicates/list.txt")
    assert sorted(reply.text.splitlines()) == [f"/{LONG}.jpg", "/a.jpg", "/y.jpg"]
    assert 'filename="duplicates.txt"' in reply.headers["content-disposition"]
    assert visitor.client.get("/duplicates/list.csv").text.count('"keep"') == 2


def test_look_alikes_have_a_best_one_and_nothing_to_drop(visitor, landed):
    page = visitor.get("/lookalikes")
    assert "Best: a.jpg , sharper: 12, the next 9" in shown(page)
    assert badges(page) == {key("a.jpg"): "best", key("b <i>.jpg"): "alike", key("x.jpg"): "alike"}
    page = choose(visitor, "drop", "x.jpg", page="/lookalikes", of="lookalikes")
    assert badges(page)[key("x.jpg")] == "drop" and badges(page)[key("b <i>.jpg")] == "alike"
    group = group_of(page, "a.jpg")
    assert 'action="/duplicates/say"' in visitor.get(f"/lookalikes/{group}")
    assert visitor.client.get("/lookalikes/list.txt").text == "/x.jpg\n"
    rows = [line.split(",")[1] for line in visitor.client.get("/lookalikes/list.csv").text.splitlines()]
    assert rows == ["propose", '"keep"', '"drop"', ""]


def test_nobody_looked_and_a_button_does(landed, tmp_path, another_run):
    visitor = Visitor(tmp_path)
    page = visitor.get("/duplicates")
    assert "pixelbrain duplicates" in shown(page) and 'action="/duplicates/look"' in page
    alike = visitor.app._app.state.alike
    with another_run(tmp_path):
        visitor.say("/duplicates/look", back="/duplicates")
        alike.looking.join()
        assert "Something else is at work here" in shown(visitor.get("/duplicates"))
    visitor.say("/duplicates/look", back="/duplicates")
    alike.looking.join()
    assert not alike.looking.wrong
    assert "2 groups" in shown(visitor.get("/duplicates"))


def test_another_browser_and_the_command_are_told_of(visitor, landed):
    stamps = {path: re.search(r'data-stamp="(\w+)"', visitor.get(path))[1] for path in ("/duplicates", "/people")}
    ChoiceLog(landed.storage).choose("keep", [PhotoRef(image_id="file:///b <i>.jpg", version="1")])
    visitor.desk._looked = float("-inf")
    told = {path: visitor.client.get("/changes", params={"since": one}).json() for path, one in stamps.items()}
    assert "duplicates" in told["/duplicates"]["text"] and told["/people"] == {"stamp": stamps["/people"], "text": ""}
    assert badges(visitor.get("/duplicates"))[key("b <i>.jpg")] == "keep"


def test_read_only_chooses_nothing(landed, tmp_path):
    find_duplicates(landed)
    visitor = Visitor(tmp_path, read_only=True)
    page = visitor.get("/duplicates")
    for one in (page, visitor.get(f"/duplicates/{group_of(page, 'a.jpg')}"), visitor.get("/lookalikes")):
        assert "<button" not in one.partition("<main")[2].replace("<button>Show</button>", "")
    for path in ("/duplicates/say", "/duplicates/undo", "/duplicates/look"):
        assert visitor.post(path, do="apart", group=group_of(page, "a.jpg")).status_code == 403
    assert ChoiceLog(landed.storage).read() == []


def test_groups_come_in_pages(visitor, monkeypatch):
    monkeypatch.setattr("pixelbrain.web.duplicates.page.GROUPS", 1)
    assert [visitor.get(f"/duplicates?page={n}").count("data-group") for n in (1, 2)] == [1, 1]
    choose(visitor, "best", f"{LONG}.jpg")  # the last one
    monkeypatch.setattr("pixelbrain.web.duplicates.page.PHOTOS", 1)
    page = visitor.get("/duplicates")
    assert set(badges(page).values()) == {"best", "drop"} and "and 1 more" in shown(page)  # the best one is shown

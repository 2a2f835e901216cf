"""`pixelbrain open` where work does not go as planned: refused, taken back, gone meanwhile, loaded again, cut off."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.identity.corrections.events import active
from pixelbrain.identity.corrections.people import People
from tests.integration.opened.desk import Desk
from tests.integration.opened.tab import PHONE, Tab

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `uv sync` installs it")


@pytest.fixture
def desk(tab: Tab, address: str, out: Path) -> Iterator[Desk]:
    """On the front page, where nothing was said."""
    desk = Desk(tab, address)
    yield desk
    assert desk.odd == []
    for _ in active(People(out).history()):
        desk.page.request.post(f"{desk.base}undo", headers={"Origin": desk.base.rstrip("/")})


_NAMED = "all => all.map(field => field.value)"


def test_what_was_refused_is_still_written_and_picked(desk: Desk):
    desk.go("people")
    desk.page.locator(".pick").nth(1).check()
    desk.page.locator("button", has_text="Merge").click()
    desk.said("pick two or more")
    desk.picked(1)
    desk.page.locator("a.tile.person").first.click()
    desk.heading("Person")
    desk.page.get_by_label("Who the picked faces are").fill("Somebody")
    desk.press("Enter")
    desk.said("no face is picked")
    assert desk.page.get_by_label("Who the picked faces are").input_value() == "Somebody"


def test_a_step_about_several_is_taken_back_at_once_and_the_key_is_about_the_step_that_is_told(desk: Desk, out: Path):
    desk.go("people")
    desk.tiles(4)
    desk.page.locator(".pick").nth(0).check()
    desk.page.locator(".pick").nth(1).check()
    desk.press("h")
    desk.said("2 people will not be shown")
    desk.tiles(2)
    shown = People(out).list()[0]
    People(out).name(shown.identity_id, "Said by another one")
    desk.press("z")
    desk.said("2 steps")
    desk.tiles(4)
    assert "Said by another one" in desk.page.locator("input[id^=name-]").evaluate_all(_NAMED)
    desk.page.locator("#said button", has_text="Redo").click()
    desk.said("Done again")
    desk.tiles(2)
    desk.press("z")
    desk.tiles(4)
    desk.press("z")  # of what is told here nothing is left to be taken back: the last step of all
    desk.said("is called Said by another one")


def test_who_lost_the_last_face_and_who_is_another_one_by_now_still_has_what_was_said(desk: Desk, out: Path):
    desk.go("people")
    desk.tiles(4)
    desk.page.locator("a.tile.person").nth(3).click()
    desk.heading("Person")
    desk.tiles(6)
    for pick in desk.page.locator(".grid .pick").all():
        pick.check()
    desk.picked(6)
    desk.press("f")
    desk.said("6 faces are not shown any more")
    desk.heading("People")
    desk.tiles(3)
    desk.press("z")
    desk.tiles(4)

    first, second = (one.identity_id for one in People(out).list()[:2])
    small = desk.page.locator("a.tile.person").nth(1).get_attribute("href")
    desk.go(small[1:])
    merged = People(out).merge(first, second)
    desk.page.locator(".grid .pick").first.check()
    desk.press("n")
    desk.said("The face is nobody's now")
    desk.press("z")
    desk.said("Taken back")
    People(out).undo(merged.number)


def test_back_from_a_photo_that_was_loaded_again_is_the_list(desk: Desk):
    desk.go("photos?q=.jpg")
    desk.page.wait_for_load_state("load")
    desk.page.locator("figure a.frame").nth(1).click()
    desk.page.locator("dialog .around", has_text="2 of 24").wait_for()
    desk.page.reload()
    desk.page.locator("main > .around", has_text="2 of 24").wait_for()
    desk.page.go_back()
    desk.heading("Photos")
    desk.page.wait_for_load_state("load")
    desk.page.go_forward()
    desk.page.locator(".around", has_text="2 of 24").wait_for()


def test_a_photo_that_comes_when_it_was_closed_stays_closed(desk: Desk):
    desk.go("photos?q=.jpg")
    desk.page.wait_for_load_state("load")
    desk.page.locator("figure a.frame").nth(1).click()
    around = desk.page.locator("dialog .around")
    around.filter(has_text="2 of 24").wait_for()
    following = re.compile(re.escape(around.locator("a[rel=next]").get_attribute("href")))
    held: list[Any] = []
    desk.page.route(following, lambda route: held.append(route))  # a slow network
    with desk.page.expect_request(following):
        desk.press("ArrowRight")
    desk.press("Escape")
    desk.page.locator("dialog").wait_for(state="detached")
    with desk.page.expect_response(following):
        for one in held:
            one.continue_()
    desk.page.evaluate("fetch('/changes').then((one) => one.text())")  # what came before it was heard of
    assert desk.page.locator("dialog").count() == 0 and desk.page.url.endswith("/photos?q=.jpg")


def test_photos_open_in_place_so_that_what_is_picked_stays(desk: Desk):
    desk.go("people")
    desk.page.locator("a.tile.person").first.click()
    desk.heading("Person")
    desk.page.locator(".grid .pick").nth(1).check()
    desk.page.locator(".grid a.open").nth(2).click()
    desk.page.locator("dialog .around").wait_for()
    desk.press("Escape")
    desk.page.locator("dialog").wait_for(state="detached")
    desk.picked(1)
    desk.page.wait_for_function("document.activeElement.matches('.grid li:nth-child(3) a.open')")
    desk.go("review")
    desk.page.wait_for_load_state("load")
    desk.page.locator(".compare a").first.click()
    desk.page.locator("dialog .around").wait_for()
    desk.page.go_back()
    desk.page.locator("dialog").wait_for(state="detached")


def test_a_name_on_a_photo_is_the_whole_persons_or_this_faces_alone(desk: Desk):
    """And Esc in a field takes back what was written there, not the photo away."""
    desk.go("photos?q=.jpg")
    desk.page.wait_for_load_state("load")
    desk.page.locator("figure a.frame").first.click()
    field = desk.page.locator("dialog input[id^=who-]")
    field.fill("Dora")
    field.press("Escape")
    assert field.input_value() == ""
    field.fill("Dora")
    field.press("Enter")
    desk.said("is called Dora now")
    desk.page.locator("#said button").click()
    desk.said("Taken back")
    field.fill("Dora")
    desk.page.locator("dialog button", has_text="This face alone").click()
    desk.said("The face is Dora's now")
    desk.page.locator("#said button").click()
    desk.said("Taken back")

    # a name that exists is a question; neither answer is the photo again
    desk.page.locator("dialog input[id^=who-]").fill("Dora")
    field.press("Enter")
    desk.said("is called Dora now")
    people = desk.page.locator("dialog .around a[rel=next]")
    while not desk.page.locator("dialog button", has_text="This face alone").count():
        there = desk.page.url
        people.click()
        desk.page.wait_for_function("was => location.href !== was", arg=there)
    there = desk.page.url
    field.fill("Dora")
    field.press("Enter")
    desk.heading("Is it the same Dora?")
    desk.press("Escape")
    desk.page.locator("dialog .around").wait_for()
    assert desk.page.url == there


def test_a_map_is_made_and_the_page_shows_it_by_itself(desk: Desk, out: Path):
    for file in (out / "maps").iterdir():
        file.unlink()
    desk.go("map?of=faces")
    desk.page.get_by_role("button", name="Make the map").click()
    desk.page.locator("#map-said", has_text="24 faces in view").wait_for()
    desk.go("duplicates")
    desk.page.get_by_role("button", name="Look for duplicates").click()
    desk.page.get_by_role("heading", name="No photo is there twice").wait_for()


def test_on_a_phone_the_page_that_one_is_on_is_seen_among_all_and_no_sentence_has_a_hole(desk: Desk):
    desk.page.set_viewport_size(PHONE)
    for path in ("history", "run", "people", "faces", "review"):
        desk.go(path)
        desk.page.wait_for_load_state("load")
        box = desk.page.locator(".bar nav [aria-current]").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"], path
        for hint in desk.page.locator(".hint").all_inner_texts():
            assert not re.search(r"\s[;,.]", hint), hint
    assert desk.page.locator(".hint").is_visible()  # what the answers do, also where there are no keys


def test_what_is_said_far_below_is_seen_there(desk: Desk):
    desk.page.set_viewport_size({"width": 1280, "height": 420})
    desk.go("people")
    desk.page.locator("a.tile.person").first.click()
    desk.heading("Person")
    desk.page.locator(".grid .pick").last.check()
    desk.press("n")
    desk.said("The face is nobody's now")
    desk.page.evaluate("scrollTo(0, 500)")
    assert desk.page.locator("#said button").evaluate("one => one.getBoundingClientRect().top > 0")
    desk.press("z")
    desk.said("Taken back")


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(tab: Tab, out: Path):
    program = [str(Path(sys.executable).parent / "pixelbrain"), "open", str(out), "--no-browser", "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        desk = Desk(tab, process.stdout.readline().split()[1])
        desk.go("photos?q=.jpg")
        desk.page.wait_for_load_state("load")
        desk.page.locator("figure a.frame").nth(1).click()
        around = desk.page.locator("dialog .around", has_text="2 of 24")
        around.wait_for()
        process.kill()
    desk.press("ArrowRight")
    desk.said("The server does not answer")
    assert around.is_visible()
    field = desk.page.locator("dialog input[id^=who-]")
    field.fill("Written")
    field.press("Enter")
    desk.said("The server does not answer")
    assert field.input_value() == "Written"

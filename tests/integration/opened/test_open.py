"""`pixelbrain open` in a real browser, as a person works in it: names, merges, splits, undoes and reviews."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from pixelbrain.identity.corrections.people import People
from tests.integration.opened.desk import Desk
from tests.integration.opened.tab import DESKTOP, PHONE, Tab

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `uv sync` installs it")

LONG, ARABIC = "Maximiliana " * 16, "\u0644\u064a\u0644\u0649"
PAGES = (
    "",
    "people",
    "people?show=hidden",
    "review",
    "photos",
    "map?of=faces",
    "duplicates",
    "faces",
    "run",
    "history",
)


def test_a_person_works_with_the_keyboard_and_another_one_sees_it(browser: Any, tab: Tab, address: str, out: Path):
    desk = Desk(tab, address)
    desk.go("people")
    desk.tiles(4)

    # names: the field after the one that was written in has the cursor
    desk.press("ArrowRight", "n")
    desk.page.keyboard.type("Ann")
    desk.press("Enter")
    desk.said("is called Ann now")
    second = desk.page.locator("input[id^=name-]").nth(1).get_attribute("id")
    desk.page.wait_for_function("id => document.activeElement.id === id", arg=second)
    desk.page.keyboard.type("ann")
    desk.press("Enter")
    desk.heading("Is it the same ann?")
    desk.press("y")
    desk.said("one person now")
    desk.tiles(3)
    desk.press("z")
    desk.said("Taken back")
    desk.tiles(4)

    # merges what is picked, hides the tile that has the cursor, and takes both back
    desk.press("ArrowRight", "x", "ArrowRight", "x")
    desk.picked(2)
    desk.press("m")
    desk.said("2 are one person now")
    desk.tiles(3)
    desk.press("z")
    desk.tiles(4)
    desk.press("ArrowDown", "h")
    desk.said("will not be shown")
    desk.tiles(3)
    desk.press("z")
    desk.tiles(4)

    # picks wrong faces out of a person
    desk.page.locator("a.tile.person").nth(2).click()
    desk.heading("Person")
    desk.press("ArrowRight", " ", "ArrowRight", "x")
    desk.picked(2)
    desk.press("s")
    desk.said("2 faces are somebody else's now")
    desk.tiles(4)
    desk.page.locator("#said button").click()
    desk.said("Taken back")
    desk.tiles(6)
    desk.page.locator(".grid .pick").first.check()
    desk.page.get_by_label("Who the picked faces are").fill("Bo")
    desk.press("Enter")
    desk.said("The face is Bo's now")

    # answers a question, thinks better of it, and answers otherwise
    desk.go("review")
    desk.heading("The same person?")
    desk.press("y")
    desk.said("are one person now")
    desk.press("z")
    desk.said("Taken back")
    desk.heading("The same person?")
    desk.press("n")
    desk.said("are two people")

    # another browser, and the command line, see what was said, and this one what they say
    other = Desk(Tab(browser), address)
    other.go("people")
    assert "Ann" in other.page.locator("input[id^=name-]").evaluate_all("all => all.map(field => field.value)")
    People(out).name("Bo", "Bob")
    other.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    other.page.locator("#changed", has_text="is called Bob").wait_for()
    other.page.locator("#changed a").click()
    other.page.locator("input[value=Bob]").wait_for()

    # a photo opens over its list: arrows and Esc lead through what was found, and what is said there holds
    desk.go("photos?q=.jpg")
    box, around = desk.page.locator("dialog.lightbox"), desk.page.locator("dialog .around")
    desk.page.locator("figure a.frame").nth(1).click()
    around.filter(has_text="2 of 24").wait_for()
    desk.press("ArrowRight")
    around.filter(has_text="3 of 24").wait_for()
    assert re.search(r"/photos/\w+\?q=.jpg$", desk.page.url)
    third = desk.page.url
    desk.press("f")
    box.locator(".stage.near").wait_for()
    desk.press("f")
    box.locator(".stage:not(.near)").wait_for()
    box.locator("svg a").first.dispatch_event("click")  # these boxes are beside their photos
    desk.page.keyboard.insert_text("Cleo")
    desk.press("Enter")
    desk.said("Cleo's now")
    assert desk.page.url == third
    desk.press("Escape")
    box.wait_for(state="detached")
    assert desk.page.url.endswith("/photos?q=.jpg")
    desk.page.wait_for_function("link => document.activeElement.href === link", arg=third)
    desk.page.go_forward()
    around.filter(has_text="3 of 24").wait_for()
    desk.page.go_back()
    box.wait_for(state="detached")
    desk.page.goto(third)  # as it is passed on: a page
    desk.page.locator("main .around", has_text="3 of 24").wait_for()
    desk.press("Escape")
    desk.page.wait_for_url("**/photos?q=.jpg")

    # a photo that is dropped on any page is searched by; this one is none, which is said
    desk.go("people")
    desk.page.wait_for_load_state("load")
    desk.page.evaluate("""() => {
      const files = new DataTransfer();
      files.items.add(new File(["no photo"], "x.jpg", { type: "image/jpeg" }));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true }));
    }""")
    desk.page.locator("dialog.by-photo button", has_text="Look-alikes").click()
    desk.page.locator("#said.bad").wait_for()
    desk.page.wait_for_url("**/photos*")
    assert desk.odd == other.odd == []


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_every_page_fits_and_can_be_read(tab: Tab, address: str, out: Path, viewport: dict, scheme: str):
    """Also with names of 200 letters and from right to left; axe-core finds nothing serious."""
    people = People(out)
    for one, name in zip(people.list(), (LONG, ARABIC), strict=False):
        people.name(one.identity_id, name)
    desk = Desk(tab, address, viewport, scheme)
    desk.go("people")
    person = desk.page.locator("a.tile.person").first.get_attribute("href")
    desk.go("photos")
    photo = desk.page.locator("figure a.frame").first.get_attribute("href")
    desk.go("duplicates")
    pair = desk.page.locator(".group a.frame").nth(1).get_attribute("href")
    for path in (*PAGES, person[1:], photo[1:], pair[1:]):
        desk.go(path)
        assert desk.page.locator("h1").count() == 1, path
        assert desk.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        if scheme == "light" and path in ("people?show=hidden", "faces", "run", "history", pair[1:]):
            continue  # of the same parts as the others: seconds each
        found = Axe().run(desk.page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], path
    desk.go("photos?q=.jpg&where=n_face+%3E+1")  # all filters, and what is wrong with one
    look(desk, "filters", serious=scheme == "dark")
    desk.go("photos?q=.jpg")
    desk.page.wait_for_load_state("load")
    desk.page.locator("figure a.frame").nth(1).click()
    around = desk.page.locator("dialog .around")
    around.filter(has_text="2 of 24").wait_for()
    look(desk, "a photo over its list", serious=scheme == "dark")
    if viewport is PHONE:
        desk.page.evaluate("""() => {
          const stage = document.querySelector("dialog .stage");
          const finger = (clientX) => new Touch({ identifier: 1, target: stage, clientX, clientY: 200 });
          const [from, to] = [finger(300), finger(90)];
          stage.dispatchEvent(new TouchEvent("touchstart", { touches: [from], changedTouches: [from], bubbles: true }));
          stage.dispatchEvent(new TouchEvent("touchend", { touches: [], changedTouches: [to], bubbles: true }));
        }""")
        around.filter(has_text="3 of 24").wait_for()
    assert desk.odd == []


def look(desk: Desk, what: str, *, serious: bool) -> None:
    """It fits, and can be read."""
    assert desk.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), what
    found = Axe().run(desk.page).response["violations"] if serious else []
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == [], (
        what
    )


def test_on_the_map_some_are_chosen_and_one_is_opened(tab: Tab, address: str):
    desk = Desk(tab, address, scheme="dark")
    desk.go("map?of=faces&colour=person")
    said = desk.page.locator("#map-said")
    said.filter(has_text="24 faces in view").wait_for()

    # the legend leaves some, and the address has it
    first = desk.page.locator("#map-legend li").first
    count = int(first.locator(".note").inner_text())
    first.locator("input").uncheck()
    said.filter(has_text=f"{24 - count} faces in view").wait_for()
    desk.page.wait_for_url("**show=**")
    desk.page.reload()
    said.filter(has_text=f"{24 - count} faces in view").wait_for()
    first.locator("input").check()
    said.filter(has_text="24 faces in view").wait_for()

    # a line around all; nothing of it is stored but in the address
    box = desk.page.locator("#map-canvas").bounding_box()
    corners = [(2, 2), (0.5, 2), (-2, 2), (-2, 0.5), (-2, -2), (0.5, -2), (2, -2), (2, 0.5)]
    corners = [(x % box["width"] if abs(x) > 1 else x * box["width"],
                y % box["height"] if abs(y) > 1 else y * box["height"]) for x, y in corners]  # fmt: skip
    desk.page.keyboard.down("Shift")
    desk.page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    desk.page.mouse.down()
    for x, y in corners[1:]:
        desk.page.mouse.move(box["x"] + x, box["y"] + y)
    desk.page.mouse.up()
    desk.page.keyboard.up("Shift")
    said.filter(has_text="24 faces chosen").wait_for()
    desk.page.get_by_role("link", name="Show the faces").click()
    desk.heading("Faces on the map")
    desk.tiles(24)
    desk.page.go_back()
    said.filter(has_text="24 faces chosen").wait_for()
    desk.page.get_by_role("link", name="Their photos").click()
    desk.page.locator(".lead", has_text="24 photos found").wait_for()

    # the keyboard alone: nearer, and what is in the middle opens
    desk.go("map?of=faces")
    said.filter(has_text="24 faces in view").wait_for()
    desk.page.locator("#map-canvas").focus()
    for _ in range(4):
        desk.press("+", "-")
    desk.page.locator(".map-card .name").wait_for()
    desk.press("Enter")
    desk.page.wait_for_url("**/photos/*")
    assert desk.odd == []


def test_among_duplicates_one_chooses_by_keys(tab: Tab, address: str):
    desk = Desk(tab, address)
    desk.go("duplicates")
    desk.tiles(6)
    badges = desk.page.locator(".badge")
    desk.press("ArrowRight", "ArrowRight", "k")
    desk.said("is to be kept")
    sync_api.expect(badges.nth(1)).to_contain_text("Keep")
    desk.press("b")  # the cursor stays where it was
    desk.said("is the best")
    sync_api.expect(badges.nth(0)).to_contain_text("Drop")
    desk.press("z")
    desk.said("Taken back")
    sync_api.expect(badges.nth(1)).to_contain_text("Keep")
    desk.press("d")
    desk.said("is to be dropped")

    # the next group; down is the row below, which may be of another one
    desk.press("Enter")
    second = desk.page.locator(".group").nth(1).get_attribute("id")
    desk.page.wait_for_function("id => document.activeElement.closest('.group')?.id === id", arg=second)
    desk.press("ArrowUp", "ArrowDown", "n")
    desk.said("shown no more")
    desk.tiles(3)
    desk.press("z")
    desk.tiles(6)

    # side by side: all pixels, of which both show the same
    desk.page.locator(".group a.frame").nth(2).click()
    desk.page.locator(".around", has_text="2 of 2 others").wait_for()
    desk.press("ArrowLeft")
    desk.page.locator(".around", has_text="1 of 2 others").wait_for()
    desk.press("x")
    panes = desk.page.locator("[data-pane]")
    panes.nth(1).wait_for()
    desk.page.wait_for_load_state("load")  # so that its script hears it
    panes.locator("img").evaluate_all("all => all.forEach(one => { one.width = one.height = 3000; })")
    panes.nth(0).evaluate("pane => pane.scrollTo(500, 400)")
    there = "one => one.scrollLeft === 500 && one.scrollTop === 400"
    desk.page.wait_for_function(f"() => [...document.querySelectorAll('[data-pane]')].every({there})")
    desk.press("k")
    desk.said("is to be kept")
    desk.press("Enter")
    desk.page.locator(".around", has_text="group 2 of 2").wait_for()
    desk.press("Escape")
    desk.heading("Duplicates")
    assert desk.odd == []


def test_it_works_without_scripts(browser: Any, address: str):
    desk = Desk(Tab(browser, java_script_enabled=False), address)
    desk.go("people")
    field = desk.page.locator("input[id^=name-]").last
    field.fill("Zoe")
    field.press("Enter")
    desk.said("is called Zoe now")
    desk.page.locator("#said button").click()
    desk.said("Taken back")
    assert re.search(r"/people\?note=", desk.page.url)
    desk.go("map?of=faces")
    assert desk.page.locator("noscript img").evaluate("image => image.naturalWidth") == 1200
    desk.go("duplicates")
    desk.page.locator(".member .best").last.click()
    desk.said("is the best")
    assert desk.odd == []

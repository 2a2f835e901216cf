"""The gallery in a real browser, opened from disk: headless Chromium by way of playwright."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixelbrain import schema
from pixelbrain.report.gallery.pages import build_gallery
from pixelbrain.sources.local import path_to_uri
from tests.integration.opened.gallery_world import ADA, HOSTILE, draw, failed_row, land, landed_row
from tests.integration.opened.tab import DESKTOP, PHONE, Tab

#: x1, y1, x2, y2 of a drawn box on the screen, without its stroke, which getBoundingClientRect would add.
CORNERS = """rect => {
  const box = rect.getBBox(), matrix = rect.getScreenCTM();
  return [[box.x, box.y], [box.x + box.width, box.y + box.height]].flatMap(([x, y]) => {
    const point = new DOMPoint(x, y).matrixTransform(matrix);
    return [point.x, point.y];
  });
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of ada (bob is on one, with a stranger), two of bob, three of nobody, two that cannot be read."""
    folder = tmp_path_factory.mktemp("gallery") / "my photos #1"
    folder.mkdir()
    rows, people = [], {}
    for name, (size, box, orientation) in ADA.items():
        boxes: tuple = (box, (5, 5, 50, 55), (300, 300, 340, 350)) if name == HOSTILE else (box,)
        image_id = draw(folder / name, size, box, orientation)
        rows.append(landed_row(image_id, size, boxes, "lab coat"))
        who = ["ada", "bob", None]
        people |= {schema.face_id(image_id, i): who[i] for i in range(len(boxes))}
    for name in ("bob 1.jpg", "bob 2.jpg"):
        image_id = draw(folder / name, (300, 200), (50, 50, 100, 100))
        rows.append(landed_row(image_id, (300, 200), ((50, 50, 100, 100),), "suit"))
        people[schema.face_id(image_id, 0)] = "bob"
    rows += [landed_row(draw(folder / f"thing {n}.jpg", (200, 300), None), (200, 300), (), "cup") for n in range(3)]
    rows.append(failed_row(path_to_uri(str(folder / "<b>broken</b>.jpg")), "<script>alert(2)</script>"))
    rows.append(failed_row(path_to_uri(str(folder / ("long" * 50 + ".jpg"))), "not an image " * 20))
    run = {"stages": {"extract": {"seconds": 3.5, "images_per_s": 3.4}}}
    return build_gallery(land(folder.parent / "out", rows, people), run=run).parent


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 photos with a face each, of 300 people, under 400 labels."""
    folder = tmp_path_factory.mktemp("large")
    rows, people = [], {}
    encoded = io.BytesIO()
    Image.new("RGB", (80, 60), (90, 120, 150)).save(encoded, "JPEG")
    for n in range(1000):
        path = folder / f"{n:04d}.jpg"
        path.write_bytes(encoded.getvalue())
        rows.append(landed_row(path_to_uri(str(path)), boxes=((10, 10, 40, 50),), label=f"label {n % 400}"))
        people[schema.face_id(rows[-1]["image_id"], 0)] = f"person-{n % 300:03d}"
    return build_gallery(land(folder / "out", rows, people)).parent


# --- the browser -----------------------------------------------------------------------------------------------------


class Visit:
    """A tab at a page from disk."""

    def __init__(self, tab: Tab) -> None:
        self.tab, self.page = tab, tab.page

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait for every image, lazy ones too, which load when they are scrolled to."""
        self.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        deadline = time.monotonic() + 30
        # not wait_for_function: it polls by eval, which the pages forbid
        while not self.page.evaluate("[...document.images].every(image => image.complete)"):
            assert time.monotonic() < deadline, "images do not load"
            self.page.wait_for_timeout(50)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def figure(self, key: str) -> int:
        return int(self.page.locator(f"[data-figure={key}]").inner_text())

    def check(self) -> None:
        """Nothing was said, nothing was asked of any host, every image is one, nothing scrolls sideways."""
        self.settle()
        assert self.tab.said == []
        assert [url for url in self.tab.asked if not url.startswith(("file://", "data:"))] == []
        assert self.page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture(params=[(PHONE, "dark"), (DESKTOP, "light")], ids=["phone-dark", "desktop-light"])
def visit(tab: Tab, request: pytest.FixtureRequest) -> Visit:
    tab.as_new(*request.param)
    return Visit(tab)


def all_pages(report: Path) -> list[Path]:
    return sorted(report.rglob("*.html"))


# --- the tests -------------------------------------------------------------------------------------------------------


def test_the_index_opens_and_counts_right(report: Path, visit: Visit):
    visit.open(report / "index.html")
    counts = {key: visit.figure(key) for key in ("images", "failed", "faces", "people", "unassigned", "labels")}
    assert counts == {"images": 12, "failed": 2, "faces": 9, "people": 2, "unassigned": 1, "labels": 3}
    people = visit.page.locator("#people li")
    assert people.count() == 2
    assert [text.split("\n") for text in people.all_inner_texts()] == [["ada", "5 photos"], ["bob", "3 photos"]]
    labels = [text.split("\n") for text in visit.page.locator("#labels li").all_inner_texts()]
    assert labels == [["lab coat", "5 photos, 75 %"], ["cup", "3 photos, 75 %"], ["suit", "2 photos, 75 %"]]
    assert visit.count("#photos figure") == 10
    assert visit.count("#unassigned li") == 1
    assert visit.page.locator("#failures tbody tr").count() == 2
    assert "<script>alert(2)</script>" in visit.page.locator("#failures").inner_text()
    assert "3.4" in visit.page.locator("#run").inner_text()
    visit.check()


def test_every_page_is_quiet_and_fits(report: Path, visit: Visit):
    pages = all_pages(report)
    assert len(pages) == 11  # index, photos, people and 2 of them, labels and 3 of them, unassigned, failures
    for path in pages:
        page = visit.open(path)
        assert page.title()
        assert visit.count("h1") == 1
        visit.check()
    assert len(visit.tab.asked) > len(pages)


def test_a_hostile_name_is_inert_text(report: Path, visit: Visit):
    page = visit.open(report / "photos" / "index.html")
    figure = page.locator("figure", has_text="onerror")
    assert figure.count() == 1
    assert figure.locator("figcaption .name").inner_text() == HOSTILE
    assert page.evaluate("document.querySelectorAll('[onerror], script').length") == 0
    page.goto(figure.locator("a.frame").get_attribute("href"))
    assert page.evaluate("[document.images.length, document.images[0].naturalWidth]") == [1, 400]  # the original opens
    visit.check()


def test_details_open_without_script(report: Path, visit: Visit):
    page = visit.open(report / "photos" / "index.html")
    figure = page.locator("figure", has_text="onerror")
    details = figure.locator(".details")
    assert not details.is_visible()
    figure.hover()
    figure.locator(".more").click()
    assert details.is_visible()
    text = details.inner_text()
    for shown in (HOSTILE, "400 × 400", "lab coat", "75 %", "colour.red", "120.5", "3: ada, bob"):
        assert shown in text
    page.keyboard.press("Escape")
    assert not details.is_visible()
    figure.locator(".more").click()
    details.get_by_role("link", name="bob").click()
    assert page.locator("h1").inner_text() == "bob"
    visit.check()


def test_boxes_lie_on_the_faces(report: Path, visit: Visit):
    """By the numbers, and by the pixels: the white face that was painted is where the box is."""
    page = visit.open(ada_page(report))
    assert visit.count("figure.photo") == len(ADA)
    for name, (size, box, _) in ADA.items():
        frame = page.locator("figure.photo").filter(has=page.get_by_title(name, exact=False)).locator(".frame")
        frame.scroll_into_view_if_needed()
        on_page = frame.bounding_box()
        assert frame.locator("rect.this").count() == 1
        drawn = frame.locator("rect.this").evaluate(CORNERS)
        # the photo fills its frame, and what is too much of it is cut off evenly on both sides
        scale = max(on_page["width"] / size[0], on_page["height"] / size[1])
        left = on_page["x"] + (on_page["width"] - size[0] * scale) / 2
        top = on_page["y"] + (on_page["height"] - size[1] * scale) / 2
        expected = [start + corner * scale for start, corner in zip([left, top] * 2, box, strict=True)]
        assert drawn == pytest.approx(expected, abs=2), name

        # by hand: the page's security policy keeps out the style that a screenshot may bring
        page.evaluate("document.querySelectorAll('.boxes').forEach(boxes => { boxes.style.visibility = 'hidden' })")
        inside, outside = brightness_along_edges(page.screenshot(), drawn)
        assert min(inside) > 200, name
        assert max(outside) < 120, name  # of a panorama, the thumbnail is enlarged, and soft
    visit.check()


def test_a_person_is_told_from_the_others(report: Path, visit: Visit):
    page = visit.open(ada_page(report))
    frame = page.locator("figure.photo").filter(has=page.get_by_title("onerror")).locator(".frame")
    assert (frame.locator("rect.this").count(), frame.locator("rect.other").count()) == (1, 2)
    width = "rect => parseFloat(getComputedStyle(rect).strokeWidth)"
    assert frame.locator("rect.this").evaluate(width) > frame.locator("rect.other").first.evaluate(width)
    assert page.locator("figure.photo figcaption .note").all_inner_texts() == ["0.25"] * len(ADA)


def test_the_keyboard_reaches_the_content(report: Path, visit: Visit):
    page = visit.open(report / "index.html")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("link => link === document.activeElement && link.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    headings = page.locator("h1, h2, h3").evaluate_all("all => all.map(heading => heading.tagName)")
    assert headings[0] == "H1"
    assert set(headings[1:]) == {"H2"}
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("img:not([width])").count() == 0
    assert page.locator('figure a.frame img[alt=""]').count() == 0


def test_text_has_contrast(report: Path, visit: Visit):
    """4.5 to 1, as WCAG AA has it, for what is written on the page's ground."""
    page = visit.open(report / "index.html")
    for selector in ("h1", ".lead .note", ".figures dt", ".section-head a", "footer p", ".caption .note"):
        colours = page.locator(selector).first.evaluate(
            "text => [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor]"
        )
        dark, light = sorted(luminance(colour) for colour in colours)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, selector


def test_a_thousand_photos_have_a_small_index_and_pages(large_report: Path, visit: Visit):
    page = visit.open(large_report / "index.html")
    assert {key: visit.figure(key) for key in ("people", "labels")} == {"people": 300, "labels": 400}
    assert page.locator("[data-figure=images]").inner_text() == "1,000"
    assert visit.count("*") < 2500
    assert visit.count("img") < 250
    visit.check()
    names: list[str] = []
    page.locator("#photos .section-head a").click()
    for number in range(1, 6):
        assert page.locator(".pager [aria-current=page]").inner_text() == str(number)
        names += page.locator("figure .name").all_inner_texts()
        assert visit.count("*") < 12_000
        assert visit.count("img[loading=lazy]") >= 200
        if number < 5:
            page.get_by_role("link", name="Next").click()
    assert names == [f"{n:04d}.jpg" for n in range(1000)]
    assert page.get_by_role("link", name="Next").count() == 0


# --- what they measure -----------------------------------------------------------------------------------------------


def ada_page(report: Path) -> Path:
    (path,) = (report / "people").glob("ada-*.html")
    return path


def brightness_along_edges(
    screenshot: bytes, corners: list[float], distance_px: int = 2
) -> tuple[list[int], list[int]]:
    """The brightness, 0 to 255, `distance_px` inside and outside the middle of each edge of a box on a screenshot."""
    x1, y1, x2, y2 = (round(corner) for corner in corners)
    middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
    with Image.open(io.BytesIO(screenshot)) as image:
        grey = image.convert("L")
    edges = [(x1, middle_y, 1, 0), (x2, middle_y, -1, 0), (middle_x, y1, 0, 1), (middle_x, y2, 0, -1)]  # and inwards
    at = [
        [grey.getpixel((x + sign * distance_px * dx, y + sign * distance_px * dy)) for x, y, dx, dy in edges]
        for sign in (1, -1)
    ]
    return at[0], at[1]


def luminance(colour: str) -> float:
    """WCAG's relative luminance of rgb(r, g, b)."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

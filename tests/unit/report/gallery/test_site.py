from pathlib import Path

import pytest

from pixelbrain.errors import ConfigError
from pixelbrain.report.gallery import thumbnails
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.report.gallery.site import PLACEHOLDER, Links, Site, claim, paginate

PHOTO = Photo("file:///a/b%20c.jpg", "1", None, 800, 600)
FACE = GalleryFace("file:///a/b%20c.jpg#0", 1, 2, 3, 4, 0.9)


def test_pages_hold_every_item_once():
    items = list(range(450))
    pages = paginate(items, "labels/cat.html", size=200)
    assert [page.path for page in pages] == ["labels/cat.html", "labels/cat-2.html", "labels/cat-3.html"]
    assert [len(page.items) for page in pages] == [200, 200, 50]
    assert [item for page in pages for item in page.items] == items


def test_a_full_page_has_no_empty_one_after_it_and_nothing_has_one_page():
    assert len(paginate(range(400), "a.html", size=200)) == 2
    assert [list(page.items) for page in paginate([], "a.html", size=200)] == [[]]


def test_shortcuts_leave_gaps():
    pages = paginate(range(20), "a.html", size=1)
    assert pages[0].shortcuts == [1, 2, 3, None, 20]
    assert pages[9].shortcuts == [1, None, 8, 9, 10, 11, 12]  # the same when a page is added
    assert paginate(range(3), "a.html", size=1)[1].shortcuts == [1, 2, 3]


def test_a_folder_of_other_files_is_not_taken(tmp_path: Path):
    (tmp_path / "thesis.html").write_text("years of work")
    with pytest.raises(ConfigError, match="is not a report"):
        claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.html"]


def test_a_report_can_be_claimed_again(tmp_path: Path):
    claim(tmp_path / "a" / "report")
    (tmp_path / "a" / "report" / "index.html").write_text("")
    claim(tmp_path / "a" / "report")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("percent", 0.999, "99 %"),  # not certain
        ("percent", 1.0, "100 %"),
        ("percent", 0.001, "< 1 %"),
        ("percent", None, ""),
        ("distance", -0.0, "0.00"),
        ("distance", 0.456, "0.46"),
        ("seconds", 4.25, "4.2 s"),
        ("seconds", 3725, "1 h 2 min"),
        ("rate", 1234.5, "1,234"),
        ("rate", 7.61, "7.61"),
    ],
)
def test_figures_as_they_are_shown(tmp_path: Path, name: str, value: float | None, shown: str):
    site = Site(tmp_path, links=Links(), shared={})
    assert site._environment.filters[name](value) == shown


def test_pages_lead_up_to_the_report_first():
    links = Links()
    assert links.page("labels", "cat") == links.of_page("index.html").page("labels", "cat")
    deep = links.of_page("people/ada.html")
    assert deep.page("labels", "cat") == "../" + links.page("labels", "cat")
    assert deep.page("people", "x").startswith("../people/")
    assert deep.thumbnail(PHOTO) == "../" + thumbnails.thumbnail_path(PHOTO)


def test_what_could_not_be_made_is_the_placeholder():
    links = Links(missing={thumbnails.thumbnail_path(PHOTO)}).of_page("photos/index.html")
    assert links.thumbnail(PHOTO) == "../" + PLACEHOLDER
    assert links.face(PHOTO, FACE) == "../" + thumbnails.face_path(PHOTO, FACE)

"""Links are relative to the page that they are on."""

from __future__ import annotations

from pixelbrain.report.gallery import thumbnails
from pixelbrain.report.gallery.items import GalleryFace, Photo
from pixelbrain.report.gallery.links import PLACEHOLDER, Links

PHOTO = Photo("file:///a/b%20c.jpg", "1", None, 800, 600)
FACE = GalleryFace("file:///a/b%20c.jpg#0", 1, 2, 3, 4, 0.9)


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

"""What is shown of an image goes by its file's own name."""

from __future__ import annotations

from pixelbrain.report.gallery.items import Failure, GalleryFace, Photo

FACES = tuple(GalleryFace(f"a#{n}", 0, 0, 1, 1, 0.9, who) for n, who in enumerate(["bob", None, "ada", "bob"]))


def test_photos_and_failures_have_names_and_links():
    for item in (Photo("file:///a/b%20c.jpg", "1", None, 8, 6), Failure("file:///a/b%20c.jpg", "image", "E", "bad")):
        assert (item.name, item.full_name, item.href) == ("b c.jpg", "/a/b c.jpg", "file:///a/b%20c.jpg")
    assert Photo("s3://bucket/a.jpg", "1", None, 8, 6).href is None


def test_people_of_photos_are_named_once():
    assert Photo("a", "1", None, 8, 6, faces=FACES).identity_ids == ["bob", "ada"]

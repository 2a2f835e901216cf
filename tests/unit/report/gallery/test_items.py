"""What is shown of an image goes by its file's own name."""

from __future__ import annotations

from pixelbrain.report.gallery.items import Failure, GalleryFace, Library, Person, Photo

FACES = tuple(GalleryFace(f"a#{n}", 0, 0, 1, 1, 0.9, who) for n, who in enumerate(["bob", None, "ada", "bob"]))


def test_photos_and_failures_have_names_and_links():
    for item in (Photo("file:///a/b%20c.jpg", "1", None, 8, 6), Failure("file:///a/b%20c.jpg", "image", "E", "bad")):
        assert (item.name, item.full_name, item.href) == ("b c.jpg", "/a/b c.jpg", "file:///a/b%20c.jpg")
    assert Photo("s3://bucket/a.jpg", "1", None, 8, 6).href is None


def test_people_of_photos_and_photos_of_people_are_named_once():
    photo = Photo("a", "1", None, 8, 6, faces=FACES)
    assert photo.identity_ids == ["bob", "ada"]
    assert Person("bob", [(photo, FACES[0]), (photo, FACES[3])]).photos == [photo]


def test_images_that_were_tried_are_those_shown_and_those_that_failed():
    failures = [Failure("b", "image", "E", ""), Failure("a", "resnet", "E", "")]
    lists = {name: [] for name in ("people", "unassigned", "labels", "unsure", "groups")}
    photos = [Photo("a", "1", None, 8, 6, faces=FACES)]
    library = Library(
        photos=photos,
        failures=failures,
        models={},
        has_faces_column=True,
        has_identities=True,
        min_label_score=0.5,
        **lists,
    )
    assert (library.n_images, library.n_failed, library.n_faces) == (2, 1, 4)

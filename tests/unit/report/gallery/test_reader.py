from datetime import datetime

from pixelbrain.report.gallery.reader import read_library
from tests.unit.report.landed_rows import identity, image_row, labelled, with_faces


def test_people_labels_and_groups_are_ordered_by_size_and_their_photos_by_certainty(land, tmp_path):
    rows = [
        image_row("file:///c.jpg", resnet=labelled("cat", 0.6), facenet=with_faces("file:///c.jpg", (0, 0, 9, 9))),
        image_row("file:///a.jpg", resnet=labelled("cat", 0.9), facenet=with_faces("file:///a.jpg", (0, 0, 9, 9))),
        image_row("file:///b.jpg", resnet=labelled("dog", 0.7), facenet=with_faces("file:///b.jpg", (0, 0, 9, 9))),
    ]
    identities = [
        identity("file:///a.jpg", 0, "ada", 0.3),
        identity("file:///b.jpg", 0, "bob", 0.1),
        identity("file:///c.jpg", 0, "ada", 0.2),
    ]
    groups = [
        {"image_id": "file:///a.jpg", "group_id": "g1", "distance": 0.2},
        {"image_id": "file:///b.jpg", "group_id": "g1", "distance": 0.1},
        {"image_id": "file:///c.jpg", "group_id": None, "distance": None},
    ]
    library = read_library(land(rows, identities, groups), tmp_path)
    assert [photo.name for photo in library.photos] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [(p.identity_id, [photo.name for photo in p.photos]) for p in library.people] == [
        ("ada", ["c.jpg", "a.jpg"]),
        ("bob", ["b.jpg"]),
    ]
    assert [(found.name, [photo.name for photo in found.photos]) for found in library.labels] == [
        ("cat", ["a.jpg", "c.jpg"]),
        ("dog", ["b.jpg"]),
    ]
    assert [(g.name, [photo.name for photo in g.photos]) for g in library.groups] == [("g1", ["b.jpg", "a.jpg"])]
    assert library.models["resnet"].model == "resnet50"


def test_a_person_twice_in_a_photo_is_one_photo_and_two_faces(land, tmp_path):
    image_id = "file:///twins.jpg"
    rows = [image_row(image_id, facenet=with_faces(image_id, (0, 0, 9, 9), (20, 0, 29, 9)) | {"turn": 90})]
    library = read_library(land(rows, [identity(image_id, 0, "ada"), identity(image_id, 1, "ada")]), tmp_path)
    assert len(library.people) == 1
    assert (len(library.people[0].photos), len(library.people[0].faces)) == (1, 2)
    assert library.photos[0].identity_ids == ["ada"] and library.photos[0].turn == 90


def test_images_and_modules_fail_apart(land, tmp_path):
    rows = [
        image_row("file:///broken.jpg", status="failed", error_type="DecodeError", error="not an image", width=None),
        image_row("file:///odd.jpg", resnet={"error_type": "RuntimeError", "error": "out of memory"}),
        image_row("file:///fine.jpg", resnet=labelled("cat", 0.5), facenet=with_faces("file:///fine.jpg")),
    ]
    library = read_library(land(rows), tmp_path)
    assert (library.n_images, library.n_failed, len(library.photos)) == (3, 1, 2)
    assert [(failure.name, failure.stage, failure.error_type) for failure in library.failures] == [
        ("broken.jpg", "image", "DecodeError"),
        ("odd.jpg", "resnet", "RuntimeError"),
    ]


def test_faces_without_identities_are_unassigned(land, tmp_path):
    image_id = "file:///a.jpg"
    landing = land([image_row(image_id, facenet=with_faces(image_id, (0, 0, 9, 9)))])
    library = read_library(landing, tmp_path)
    assert (len(library.unassigned), library.people, library.has_identities) == (1, [], False)
    landing = land([image_row(image_id, facenet=with_faces(image_id, (0, 0, 9, 9)))], [identity(image_id, 0, None)])
    library = read_library(landing, tmp_path)
    assert (library.unassigned[0][1].assigned, library.has_identities) == ("gated", True)


def test_a_users_module_is_shown_by_its_values(land, tmp_path):
    rows = [
        image_row("file:///a.jpg", colour={"red": 0.5, "name": "x" * 500}),
        image_row("file:///b.jpg", colour={"error_type": "ValueError", "error": "no"}),
        image_row("file:///c.jpg", colour=None),
    ]
    library = read_library(land(rows, modules=("colour",)), tmp_path)
    values = [dict(photo.values) for photo in library.photos]
    assert len(values) == 3
    assert values[0]["colour.red"] == "0.5"
    assert len(values[0]["colour.name"]) == 200
    assert values[1:] == [{}, {}]
    assert not library.has_faces_column


def test_a_camera_is_shown_as_people_say_it(land, tmp_path):
    said = {
        "taken_at": datetime(2024, 5, 1, 12, 34, 56), "utc_offset_minutes": -210, "make": "NIKON CORPORATION",
        "model": "NIKON D750", "lens": "50mm", "exposure_s": 0.005, "f_number": 2.8, "iso": 800,
        "focal_length_mm": 50.0, "flash": True, "latitude": -33.85833333, "longitude": 151.2, "altitude_m": 8.6,
        "rating": 0, "keywords": ["sea", "boat"], "title": "<b>",
    }  # fmt: skip
    rows = [
        image_row("file:///a.jpg", exif=said),
        image_row("file:///b.jpg", exif={"make": "Apple", "model": "iPhone 12", "exposure_s": 2.5, "longitude": 3.0}),
        image_row("file:///c.jpg", exif={}),
    ]
    values = [dict(photo.values) for photo in read_library(land(rows, modules=("exif",)), tmp_path).photos]
    assert values == [
        {
            "Taken": "2024-05-01 12:34:56 -03:30", "Camera": "NIKON D750, 50mm", "Title": "<b>",
            "Exposure": "1/200 s, f/2.8, ISO 800, 50 mm, flash", "Rating": "0 of 5",
            "Location": "-33.85833, 151.20000, 9 m", "Keywords": "sea, boat",
        },
        {"Camera": "Apple iPhone 12", "Exposure": "2.5 s"},
        {},
    ]  # fmt: skip


def test_nothing_landed(land, tmp_path):
    library = read_library(land([]), tmp_path)
    assert (library.n_images, library.n_faces, len(library.photos), library.people, library.labels) == (0, 0, 0, [], [])


def test_what_is_not_likely_enough_is_unsure(land, tmp_path):
    scores = {"a": 0.2, "b": 0.349, "c": 0.35, "d": 0.9}  # of resnet50
    rows = [image_row(f"file:///{name}.jpg", resnet=labelled("cat", score)) for name, score in scores.items()]
    landing = land([*rows, image_row("file:///e.jpg")])

    def shown(**how):
        library = read_library(landing, tmp_path, **how)
        assert all(photo.top_k[0][0] == "cat" and photo.label_score for photo in library.unsure)
        labels = {album.name: "".join(photo.name[0] for photo in album.photos) for album in library.labels}
        return labels, "".join(photo.name[0] for photo in library.unsure)

    assert shown() == ({"cat": "dc"}, "ba")
    assert shown(min_label_score=0) == ({"cat": "dcba"}, "")
    assert shown(min_label_score=1.0) == ({}, "dcba")

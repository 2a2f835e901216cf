"""Labels: which photo and which face of OUT somebody means."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelbrain.errors import ConfigError
from pixelbrain.identity.evaluation.labels import find_labelled, folder_labels, read_labels
from tests.unit.identity.evaluation.labelled_out import face, land, vector


def csv(folder: Path, text: str) -> Path:
    file = folder / "who.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_photo_is_named_as_people_name_it(tmp_path: Path):
    folder = tmp_path / "my photos"
    ids = [f"file://{tmp_path}/my%20photos/a/1.jpg", f"file://{tmp_path}/my%20photos/b/1.jpg", "s3://b/c d/2.jpg"]
    landing = land(tmp_path / "out", {one: [face(0, 50, vector(0, 1))] for one in ids})
    names = ["my photos/a/1.jpg", f"{folder}/b/1.jpg", "s3://b/c d/2.jpg", "1.jpg", "9.jpg"]
    file = csv(tmp_path, "photo,person\n" + "".join(f"{name},Ann\n" for name in names))
    labelled = find_labelled(landing, read_labels(file), beside=tmp_path)
    assert labelled.face.tolist() == [0, 1, 2]
    assert labelled.not_in_out == ["1.jpg", "9.jpg"]  # two are called so, and none


def test_without_a_box_the_largest_face_is_meant_and_with_one_the_face_that_it_covers(tmp_path: Path):
    faces = [face(0, 30, vector(0, 1)), face(100, 60, vector(1, 1)), face(300, 40, vector(2, 1))]
    landing = land(tmp_path / "out", {"s3://b/1.jpg": faces, "s3://b/2.jpg": []})
    file = csv(
        tmp_path,
        "\ufeffPath,Name,x1,y1,x2,y2\ns3://b/1.jpg,Ann,,,,\ns3://b/1.jpg,Bo,2,8,31,41\ns3://b/1.jpg,Cy,310,80,350,120\n"
        "s3://b/2.jpg,Di,,,,\n",
    )
    labelled = find_labelled(landing, read_labels(file))
    assert list(zip(labelled.person, labelled.face, strict=True)) == [("Ann", 1), ("Bo", 0), ("Cy", -1), ("Di", -1)]
    found = labelled.found({"s3://b/1.jpg#1": "p1"})
    assert found.tolist() == ["p1", "nobody 1", "nobody 2", "nobody 3"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("photo,whom\n1.jpg,Ann\n", "a column person: it has photo, whom"),
        ("", "it has none"),
        ("photo,person,x1,y1,x2,y2\ns3://b/1.jpg,Ann,1,2,,\n", "line 2: x1, y1, x2 and y2 are four numbers"),
        ("photo,person,x1,y1,x2,y2\ns3://b/1.jpg,Ann,9,2,5,6\n", "line 2: a box has x1 below x2"),
        ("photo,person,x1,y1,x2,y2\ns3://b/1.jpg,Ann,nan,0,5,6\n", "line 2: a box has x1 below x2"),
        ("photo,person,x1,y1,x2,y2\ns3://b/1.jpg,Ann,0,0,5,inf\n", "line 2: a box has x1 below x2"),
        ("photo,person\ns3://b/1.jpg,Ann\ns3://b/1.jpg,Bo\n", "labelled twice without a box"),
        ("photo,person\n s3://b/1.jpg ,  \n", "there are no labels"),
        ("photo,person\n7.jpg,Ann\n", "none of the labelled photos has landed in .*: the first is 7.jpg"),
        ("photo,person\n", "there are no labels"),
    ],
)
def test_labels_that_say_nothing_are_one_line(tmp_path: Path, text: str, why: str):
    landing = land(tmp_path / "out", {"s3://b/1.jpg": [face(0, 50, vector(0, 1))]})
    with pytest.raises(ConfigError, match=why):
        find_labelled(landing, read_labels(csv(tmp_path, text)))


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str):
    with pytest.raises(ConfigError, match="cannot be read as a CSV"):
        list(read_labels(tmp_path / name))


def test_a_folder_a_person(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")  # a listing takes no name through a link
    start = f"file://{tmp_path}/photos"
    ids = [
        f"{start}/Ann%20B/1.jpg",
        f"{start}/Ann%20B/deep/2.jpg",
        f"{start}/objects/3.jpg",
        f"{start}/4.jpg",
        "s3://b/x/C/5.jpg",
    ]
    for folder in (str(tmp_path / "photos"), str(tmp_path / "link") + "/", start):
        assert [(one.image_id, one.person) for one in folder_labels(folder, ids, nobody="objects")] == [
            (ids[0], "Ann B"), (ids[1], "Ann B"),
        ]  # fmt: skip
    assert [one.person for one in folder_labels("s3://b/x", ids)] == ["C"]


@pytest.mark.parametrize(
    "text", ["photo;person;x1;y1;x2;y2\ns3://b/1.jpg;Ann;0,5;0;50,0;50\n", "photo\tperson\ns3://b/1.jpg\tAnn\ts3\n"]
)
def test_a_csv_is_read_as_excel_writes_it_in_other_countries(tmp_path: Path, text: str):
    landing = land(tmp_path / "out", {"s3://b/1.jpg": [face(0, 50, vector(0, 1))]})
    labelled = find_labelled(landing, read_labels(csv(tmp_path, "\ufeff" + text)))
    assert (labelled.person.tolist(), labelled.face.tolist()) == (["Ann"], [0])


def test_one_face_is_one_person(tmp_path: Path):
    """Whom the nearer box calls so; said twice, it is said once."""
    landing = land(tmp_path / "out", {"s3://b/1.jpg": [face(0, 50, vector(0, 1))]})
    rows = ["Ann,0,12,50,62", "Bo,0,10,50,60", "Bo,0,10,50,60", "Bo,0,11,50,60"]
    file = csv(tmp_path, "photo,person,x1,y1,x2,y2\n" + "".join(f"s3://b/1.jpg,{row}\n" for row in rows))
    labelled = find_labelled(landing, read_labels(file))
    assert list(zip(labelled.person, labelled.face, strict=True)) == [("Ann", -1), ("Bo", 0), ("Bo", 0)]
    assert len(labelled.twice) == 1 and "labelled as Bo and, less near, as Ann" in labelled.twice[0]

"""COCO as pycocotools reads it: images, faces and people as they landed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import write_registry
from pixelbrain.report.exports import contents
from pixelbrain.report.exports.coco import KEYPOINTS, write_coco
from pixelbrain.report.exports.contents import image_numbers
from tests.unit.report.landed_rows import Row, identity, image_row, labelled, with_faces

ODD = "file:///photos/%E5%BF%83%20of/1%231.jpg"  # /photos/心 of/1#1.jpg
GROUP = "file:///photos/2024/group.jpg"
FAR = "s3://bucket/a b/far.jpg"
BOXES = [(1.25, 2, 31.25, 42), (50.1, 2, 60.4, 40), (70, 2, 80, 40), (8, 2, 19, 40)]


def name_people(landing: Landing, **names: str) -> None:
    rows = [{"identity_id": who, "name": name, "hidden": False, "n_faces": 1} for who, name in names.items()]
    write_registry(landing, pa.Table.from_pylist(rows, schema.PERSON_SCHEMA))


def looked_at(faces: Row) -> list[Row]:
    """What a module says of the first face, and of a second one that was elsewhere then."""
    first, second = ({name: face[name] for name in ("face_id", "x1", "y1", "x2", "y2")} for face in faces["faces"][:2])
    return [first | {"worn": True, "tint": None}, second | {"x1": 7.0, "worn": True}]


@pytest.fixture
def landing(land) -> Landing:
    faces = with_faces(GROUP, *BOXES)
    for number, face in enumerate(faces["faces"]):
        face["landmarks"] = None if number == 3 else [float(10 * number + n) for n in range(10)]
        face["sharpness"] = float("nan")
    rows = [
        image_row(ODD, resnet=labelled("tabby", 0.93, "lynx"), facenet=with_faces(ODD), taken_at="2024-05-01T12:34:56"),
        image_row(GROUP, resnet=labelled("suit", 0.1), facenet=faces, glasses={"faces": looked_at(faces)}),
        image_row("file:///photos/no.jpg", status="failed", error="not an image", width=None, height=None),
        image_row(FAR, facenet=with_faces(FAR, (3, 4, 7, 9))),
    ]
    whose = ["p1", "p2", None, "p4"]
    people = [identity(GROUP, number, who) for number, who in enumerate(whose)] + [identity(FAR, 0, "p3")]
    return land(rows, people, modules=("resnet", "facenet", "glasses"))


def written(landing: Landing, folder: Path, **how: Any) -> tuple[Path, dict[str, Any]]:
    write_coco(landing, Landing(folder).storage, "faces.json", **how)
    return folder / "faces.json", json.loads((folder / "faces.json").read_text(encoding="utf-8"))


def test_pycocotools_reads_every_image_face_and_person(landing: Landing, tmp_path: Path):
    name_people(landing, p1='Ånn 😀 "A"', p2="Bo", p3="Bo", p4="face")
    told: list[tuple[int, int]] = []
    assert write_coco(landing, Landing(tmp_path).storage, "faces.json", progress=lambda *n: told.append(n)) == (
        4, "/photos"
    )  # fmt: skip
    assert told[-1] == (4, 4)
    coco = COCO(tmp_path / "faces.json")
    images = coco.loadImgs(coco.getImgIds())
    numbers = image_numbers(pa.array([ODD, GROUP, "file:///photos/no.jpg", FAR])).tolist()
    assert [one["id"] for one in images] == numbers and numbers[0] == 4441394960107436
    assert [one["file_name"] for one in images] == ["心 of/1#1.jpg", "2024/group.jpg", "no.jpg", FAR]
    assert [one["uri"] for one in images] == [ODD, GROUP, "file:///photos/no.jpg", FAR]
    assert [(one["width"], one["height"]) for one in images] == [(80, 60), (80, 60), (0, 0), (80, 60)]
    assert images[0]["date_captured"] == "2024-05-01T12:34:56"
    assert [one["tags"] for one in images] == [["tabby"], [], [], []]
    assert images[0]["labels"] == [{"label": "tabby", "score": 0.93}, {"label": "lynx", "score": 0.465}]
    assert images[2]["status"] == "failed" and images[2]["error"] == "not an image"

    categories = {one["id"]: one for one in coco.loadCats(coco.getCatIds())}
    assert [one["name"] for one in categories.values()] == ["face", 'Ånn 😀 "A"', "Bo (p2)", "Bo (p3)", "face (p4)"]
    assert [one["supercategory"] for one in categories.values()] == ["face", *["person"] * 4]
    assert all(one["keypoints"] == [*KEYPOINTS] for one in categories.values())

    faces = coco.loadAnns(coco.getAnnIds())
    assert [one["id"] for one in faces] == [1, 2, 3, 4, 5]
    assert [one["image_id"] for one in faces] == [*[numbers[1]] * 4, numbers[3]]
    assert [categories[one["category_id"]].get("identity_id") for one in faces] == ["p1", "p2", None, "p4", "p3"]
    assert faces[0]["bbox"] == [1.25, 2.0, 30.0, 40.0] and faces[0]["area"] == 1200
    assert faces[0]["score"] == 0.99 and faces[0]["face_id"] == f"{GROUP}#0" and faces[0]["name"] == 'Ånn 😀 "A"'
    assert faces[1]["keypoints"][:6] == [10, 11, 2, 12, 13, 2] and faces[1]["num_keypoints"] == 5
    assert faces[3]["keypoints"] == [0] * 15 and faces[3]["num_keypoints"] == 0
    assert ["glasses_worn" in one for one in faces] == [True] + [False] * 4 and faces[0]["glasses_worn"] is True
    assert "sharpness" not in faces[0] and "name" not in faces[2]  # NaN, and nobody
    assert coco.getImgIds(catIds=[2]) == [numbers[1]] and coco.getAnnIds(imgIds=[numbers[0], numbers[2]]) == []


def test_the_number_of_an_image_is_its_own(landing: Landing, tmp_path: Path, monkeypatch):
    """It stays when other images come and go, whatever the order is; no two have the same."""
    ids = pa.array([f"s3://b/{number}.jpg" for number in range(1000)])
    numbers = image_numbers(ids)
    assert len({*numbers.tolist()}) == 1000 and numbers.min() > 0 and numbers.max() <= 2**53
    assert image_numbers(ids[::-7]).tolist() == numbers[::-7].tolist()
    _, found = written(landing, tmp_path)
    _, some = written(landing, tmp_path, images=pa.chunked_array([[FAR, ODD]]))
    assert {(one["uri"], one["id"]) for one in some["images"]} < {(one["uri"], one["id"]) for one in found["images"]}
    monkeypatch.setattr(contents, "digest_ids", lambda ids: np.array([[0, 1], [0, 2], [2 << 11, 0], [0, 3]], np.uint64))
    assert sorted(image_numbers(ids[:4])) == [1, 2, 3, 4]


def test_its_faces_can_be_evaluated(landing: Landing, tmp_path: Path):
    file, found = written(landing, tmp_path)
    truth = COCO(file)
    for kind in ("bbox", "keypoints"):
        judged = COCOeval(truth, truth.loadRes(found["annotations"]), kind)
        judged.params.kpt_oks_sigmas = np.full(len(KEYPOINTS), 0.05)
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.evaluate()
        judged.accumulate()
        precision = judged.eval["precision"]
        assert precision[precision > -1].min() == pytest.approx(1), kind


def test_people_without_a_name_are_called_by_their_id_and_without_people_all_are_faces(
    landing: Landing, land, tmp_path: Path
):
    _, found = written(landing, tmp_path)
    assert [one["name"] for one in found["categories"]] == ["face", "p1", "p2", "p3", "p4"]
    (tmp_path / "out" / "identities" / "identities.parquet").unlink()
    _, found = written(Landing(tmp_path / "out"), tmp_path)
    assert [one["name"] for one in found["categories"]] == ["face"]
    assert {one["category_id"] for one in found["annotations"]} == {1} and len(found["annotations"]) == 5


@pytest.mark.parametrize(
    ("root", "names"),
    [
        ("/photos/2024/", ["/photos/心 of/1#1.jpg", "group.jpg", "/photos/no.jpg", FAR]),
        ("/photo", ["/photos/心 of/1#1.jpg", "/photos/2024/group.jpg", "/photos/no.jpg", FAR]),
        ("s3://bucket/a b", ["/photos/心 of/1#1.jpg", "/photos/2024/group.jpg", "/photos/no.jpg", "far.jpg"]),
    ],
)
def test_file_names_are_relative_to_a_root_where_they_are_below_it(landing, tmp_path: Path, root: str, names):
    _, found = written(landing, tmp_path, root=root)
    assert [one["file_name"] for one in found["images"]] == names
    assert found["info"]["root"] == root.rstrip("/")


def test_the_same_out_is_the_same_file_and_one_that_fails_stays_as_it_was(landing: Landing, land, tmp_path: Path):
    file, _ = written(landing, tmp_path)
    before = file.read_bytes()
    assert written(Landing(landing.storage), tmp_path)[0].read_bytes() == before
    part = landing.storage.local / landing.parts[0].name
    part.write_bytes(b"damaged since its ids were read")
    with pytest.raises(Exception, match=part.name):
        write_coco(landing, Landing(tmp_path).storage, "faces.json")
    assert file.read_bytes() == before and sorted(one.name for one in tmp_path.iterdir()) == ["faces.json", "out"]


def test_an_out_of_nothing_and_photos_all_over_the_disk(land, tmp_path: Path):
    _, found = written(land([]), tmp_path)
    assert (found["images"], found["annotations"], len(found["categories"])) == ([], [], 1)
    landing = land([image_row("file:///a/1.jpg"), image_row("file:///b/2.jpg")], modules=())
    _, found = written(landing, tmp_path)
    assert [one["file_name"] for one in found["images"]] == ["/a/1.jpg", "/b/2.jpg"] and found["info"]["root"] == ""

"""tag_identity: what cannot work is said first, one run does it all, and the CSV has a row an image."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.apps.tag_identity import tag_identity
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.sources.local import uri_to_path
from pixelbrain.stages.stages import Stages
from tests.unit.landed_out import land_faces


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"export_file": "x.txt"}, "its name ends in .csv"),
        ({"identity_field_name": "image"}, "and not `image`"),
        ({"database_id": "../up"}, "letters, digits, dots"),
        ({"identifying_strategy": "guess"}, "strategy is 'guess'"),
        ({"export_file": f"{__file__}/x.csv"}, f"x.csv: {__file__} is no folder"),
        ({"export_file": f"{__file__}-s/x.csv"}, f"x.csv: there is no folder {__file__}-s"),
    ],
)
def test_values_that_cannot_work_are_named(given, said, monkeypatch):
    monkeypatch.setattr(Stages, "run", lambda *_, **__: pytest.fail("said first"))
    with pytest.raises((ConfigError, LandingError), match=said):
        tag_identity(**{"data_path": "photos", "export_file": "x.csv", **given})


def test_a_source_has_one_out_however_it_is_named(tmp_path, monkeypatch):
    outs = []

    def run(stages, then):
        outs.append((stages.config.source, stages.config.out))
        raise LandingError("far enough")

    monkeypatch.setattr(Stages, "run", run)
    monkeypatch.setenv("PIXELBRAIN_HOME", str(tmp_path / "home"))
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "link").symlink_to(photos)
    of_folder = ["photos", "photos/", "./link", str(photos), f"file://{photos}"]
    for name, places in {
        str(photos): {tmp_path: of_folder, photos: [".", "../link"]},
        "s3://b/p": {tmp_path: ["s3://b/p", "s3://b/p/"], photos: ["S3://b/p"]},
    }.items():
        outs.clear()
        for folder, spellings in places.items():
            monkeypatch.chdir(folder)
            for spelling in spellings:
                with pytest.raises(LandingError, match="far enough"):
                    tag_identity(data_path=spelling, export_file="x.csv")
        assert len(outs) > 2 and len(set(outs)) == 1 and outs[0][0] == name


@pytest.mark.parametrize("remove", [False, True])
def test_one_run_and_a_row_an_image(remove, landed, tmp_path, monkeypatch):
    ids = sorted(Landing(landed).index.image_id.to_pylist())
    land_faces(landed, [*(f"{ids[place]}#{number}" for number, place in enumerate((0, 0, 1, 2))), *ids], generation=2)
    ran = []

    def run(stages, then):
        ran.append((then, stages.config.modules, stages.config.strategy))
        faces = [(ids[0], "person-a"), (ids[0], "person-b"), (ids[1], "person-a"), (ids[2], None)]
        rows = [
            {"image_id": image, "face_id": f"{image}#{number}", "identity_id": person, "assigned": "none"}
            for number, (image, person) in enumerate(faces)
        ]
        IDENTITIES.write(stages.landing, pa.Table.from_pylist(rows, schema.IDENTITY_SCHEMA))
        return {"identify": SimpleNamespace(people=2)}

    monkeypatch.setattr(Stages, "run", run)
    monkeypatch.setenv("PIXELBRAIN_HOME", str(landed.parent))
    file = tmp_path / "people.csv"
    said = tag_identity(
        data_path="photos", export_file=str(file), database_id=landed.name, identity_field_name="who",
        identifying_strategy="dbscan", offline=True, remove=remove,
    )  # fmt: skip
    assert said == f"7 images, 2 people, to {file}" and ran == [(("identify",), ("facenet",), "dbscan")]
    with open(file, newline="") as source:
        rows = {row["image"]: row["who"] for row in csv.DictReader(source)}
    assert len(rows) == 7 and [rows[str(uri_to_path(one))] for one in ids[:4]] == [
        "person-a;person-b", "person-a", "", "",
    ]  # fmt: skip
    assert landed.exists() != remove

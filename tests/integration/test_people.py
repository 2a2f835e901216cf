"""Who is who on labelled photos of private people: they stay outside the repository."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pixelbrain.config import RunConfig
from pixelbrain.identity.evaluate import score_clusters
from pixelbrain.report.export import export
from pixelbrain.stages.stages import Stages
from tests.integration.conftest import ROOT

PEOPLE = ROOT.parent / "shared" / "data" / "people"


@pytest.mark.skipif(not PEOPLE.is_dir(), reason="the labelled photos, shared/data/people, are not beside this checkout")
def test_people_are_told_apart(tmp_path):
    config = RunConfig(
        source=str(PEOPLE), out=str(tmp_path / "out"), modules=("facenet",), offline=True, executor="local"
    )
    stages = Stages(config)
    stages.extract()
    with stages.database() as database:
        stages.load(database)
        stages.identify(database)
    export(stages.landing, tmp_path / "faces.csv", "faces")
    largest: dict[str, tuple[float, str]] = {}  # by photo: the person is judged on the photo's largest face
    assigned = set()
    with open(tmp_path / "faces.csv", newline="") as file:
        for row in csv.DictReader(file):
            area = (float(row["x2"]) - float(row["x1"])) * (float(row["y2"]) - float(row["y1"]))
            assigned |= {row["identity_id"]} - {""}
            if area > largest.get(row["image_id"], (0, ""))[0]:
                largest[row["image_id"]] = (area, row["identity_id"] or f"alone: {row['face_id']}")
    judged = {image: who for image, (_, who) in largest.items() if Path(image).parent.name != "objects"}
    assert len(judged) >= 85
    truth = np.array([Path(image).parent.name for image in judged])
    scores = score_clusters(truth, np.array(list(judged.values())))
    assert scores.pair_p >= 0.99 and scores.pair_f >= 0.96 and scores.bcubed_f >= 0.96, scores
    assert len(assigned) <= 9

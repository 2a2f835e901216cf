"""What is said of the people of an OUT, and which threshold is chosen by labels."""

from __future__ import annotations

import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from pixelbrain.apps.evaluate import evaluate_people, lines
from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.identity.evaluation.curve import threshold_curve
from pixelbrain.identity.evaluation.evaluate import evaluate
from pixelbrain.identity.evaluation.labels import Label, find_labelled
from pixelbrain.identity.thresholds import FILE, face_threshold, read_calibrations, threshold_of
from pixelbrain.stages.display import Display
from pixelbrain.stages.stages import Stages
from tests.unit.identity.evaluation.labelled_out import face, identify, land, vector

NAMES = ("Ann", "Bo", "Cy")


def photos(spread: float = 0.1, each: int = 6) -> dict[str, list[dict]]:
    return {
        f"s3://b/{name}/{number}.jpg": [face(10, 80, vector(person, number, spread))]
        for person, name in enumerate(NAMES)
        for number in range(each)
    }


def labels(ids: dict[str, list[dict]]) -> list[Label]:
    return [Label(one, one.split("/")[3], None) for one in ids]


def test_pieces_mixed_people_and_faces_that_are_nobodys_are_told(tmp_path: Path):
    ids = photos(each=4)
    ids["s3://b/Bo/3.jpg"] = []  # no face was found
    landing = land(tmp_path / "out", ids)
    whose = {f"{one}#0": "p-ann" if "Ann" in one else "p-bo" for one in ids if ids[one]}
    whose |= {"s3://b/Cy/0.jpg#0": "p-ann", "s3://b/Ann/3.jpg#0": "p-ann-2", "s3://b/Cy/1.jpg#0": None}
    whose |= {"s3://b/Cy/2.jpg#0": "p-cy", "s3://b/Cy/3.jpg#0": "p-cy"}
    identify(landing, whose)
    found = evaluate(landing, find_labelled(landing, [*labels(ids), Label("s3://b/Di/1.jpg", "Di", None)]))
    assert (found.faces, found.people, found.people_found, found.not_in_out) == (12, 3, 4, 1)
    assert found.mixed == {"p-ann": {"Ann": 3, "Cy": 1}}
    by_name = {row.name: row for row in found.of_people}
    assert [row.name for row in found.of_people] == ["Cy", "Ann", "Bo"]  # the worst first
    cy, ann, bo = (by_name[name] for name in ("Cy", "Ann", "Bo"))
    assert (cy.largest, cy.found_as, cy.pieces, cy.alone, cy.not_found) == (2, "p-cy", 2, 1, 0)
    assert (ann.largest, ann.pieces, bo.share, bo.alone, bo.not_found) == (3, 2, 0.75, 1, 1)
    # of the pairs that were put together (6 of p-ann, 3 of Bo, 1 of p-cy), 3 are Ann with Cy
    assert found.scores.pair_p == pytest.approx(7 / 10) and found.scores.pair_r == pytest.approx(7 / 18)


def test_the_curve_is_what_identify_would_do_at_each_threshold(tmp_path: Path):
    ids = photos(spread=0.25)
    ids["s3://b/blurred.jpg"] = [face(10, 80, vector(0, 99, 0.3), sharpness=0.1)]  # it joins nobody
    landing = land(tmp_path / "out", ids)
    labelled = find_labelled(landing, labels(photos()))
    seen: list[tuple[int, int]] = []
    curve = threshold_curve(landing, labelled, used=0.6, model="dlib", progress=lambda *n: seen.append(n))
    thresholds = [point.threshold for point in curve.points]
    assert thresholds == sorted(thresholds) and 0.6 in thresholds and seen[-1] == (25, 25)
    first, last = curve.points[0].scores, curve.points[-1].scores
    assert first.pair_r > last.pair_r and last.pair_p == 1
    best = curve.choose(0.99)
    assert best.scores.pair_f == max(point.scores.pair_f for point in curve.points if point.scores.pair_p >= 0.99)
    assert best.people == 3 and best.mixed == 0


def test_a_threshold_below_which_a_worse_one_lies_above_is_not_chosen(tmp_path: Path):
    """Precision is not monotone: it has to hold from the chosen threshold upwards."""
    ids = photos(spread=0.25)
    landing = land(tmp_path / "out", ids)
    curve = threshold_curve(landing, find_labelled(landing, labels(ids)), used=0.6, model="dlib")
    chosen = curve.choose(0.9)
    above = [point for point in curve.points if point.threshold >= chosen.threshold]
    assert all(point.scores.pair_p >= 0.9 for point in above)


def test_labels_that_no_threshold_can_satisfy_are_said_to_be(tmp_path: Path):
    ids = {f"s3://b/{n}.jpg": [face(10, 80, vector(0, n))] for n in range(8)}
    landing = land(tmp_path / "out", ids)
    labelled = find_labelled(landing, [Label(one, str(n), None) for n, one in enumerate(ids)])  # all are alike
    with pytest.raises(ConfigError, match=r"no threshold puts pairs together at a precision of 0.9: the best is"):
        threshold_curve(landing, labelled, used=0.9, model="dlib").choose(0.9)


def test_a_calibrated_threshold_is_kept_in_out_for_its_model_and_strategy(tmp_path: Path):
    ids = photos(spread=0.25)
    out = tmp_path / "out"
    landing = land(out, ids)
    identify(landing, {f"{one}#0": one.split("/")[3] for one in ids})
    file = tmp_path / "who.csv"
    file.write_text("photo,person\n" + "\n".join(f"{one},{one.split('/')[3]}" for one in ids))
    stages = Stages(RunConfig(source="", out=str(out)), display=Display(quiet=True))
    assert threshold_of(landing.storage, "dlib", "average") == face_threshold("dlib", "average")
    found = evaluate_people(stages, labels=str(file), calibrate=0.99, curve_file=str(tmp_path / "curve.svg"))
    kept = threshold_of(landing.storage, "dlib", "average")
    assert kept == found["chosen"].threshold != face_threshold("dlib", "average")
    assert threshold_of(landing.storage, "dlib", "pairwise") == face_threshold("dlib", "pairwise")
    assert read_calibrations(landing.storage)["dlib average"].labelled == len(ids)
    said = lines(found, "out/")
    assert all(len(line) <= 80 for line in said) and any(line.endswith("  chosen") for line in said)
    svg = xml.etree.ElementTree.parse(tmp_path / "curve.svg").getroot()
    lines_drawn = svg.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines_drawn) == 3 and all(len(line.get("points").split()) == 25 for line in lines_drawn)
    drawn = np.array([[*map(float, dot.split(","))] for line in lines_drawn for dot in line.get("points").split()])
    assert drawn.min() >= 0 and drawn[:, 0].max() <= 760 and drawn[:, 1].max() <= 420
    kept_before = landing.storage.read(FILE)
    with pytest.raises(LandingError, match="cannot write"):
        evaluate_people(stages, labels=str(file), calibrate=0.5, curve_file=str(file / "curve.svg"))
    assert landing.storage.read(FILE) == kept_before
    landing.storage.write(FILE, b"[1]")
    with pytest.raises(LandingError, match="thresholds.json is damaged"):
        threshold_of(landing.storage, "dlib", "average")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "--labels FILE or --folders DIR"),
        ({"labels": "a.csv", "folders": "b"}, "not both"),
        ({"folders": "s3://b", "calibrate": 99.0}, "calibrate is 99: a precision between 0 and 1"),
        ({"folders": "s3://b"}, "nobody was identified .* yet: pixelbrain identify"),
        ({"folders": "s3://elsewhere"}, "none of the labelled photos has landed"),
    ],
)
def test_what_cannot_be_judged_is_one_line(tmp_path: Path, given: dict, why: str):
    land(tmp_path / "out", photos())
    with pytest.raises(ConfigError, match=why):
        evaluate_people(Stages(RunConfig(source="", out=str(tmp_path / "out")), display=Display(quiet=True)), **given)

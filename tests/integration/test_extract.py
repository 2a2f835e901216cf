"""The engine on a real Ray: each image once, reruns do only what is new, errors arrive as one line."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import pixelbrain as pb
from benchmarks.synthetic_faces import make_faces
from pixelbrain.engine.shards import Shared, on_ray
from pixelbrain.errors import EngineError, SourceError
from pixelbrain.identity.neighbours import nearest_neighbours
from tests.unit.engine.modules_for_tests import Size

pytestmark = pytest.mark.usefixtures("ray_running")


class Dies(Size):
    """Cannot be set up."""

    name = "dies"

    def setup(self, device="cpu"):
        raise RuntimeError("no such luck")


def test_every_image_lands_once_and_a_rerun_does_only_what_is_new(photo_folder, tmp_path, encode):
    seen = []
    pipeline = pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()])
    report = pipeline.extract(tmp_path / "out", progress=lambda *figures: seen.append(figures))
    assert (report.listed, report.done, report.failed) == (7, 7, 4)
    assert report.failures["DecodeError"] == 2 and report.failures["size: RuntimeError"] == 1
    assert seen[0] == (0, 7, 0) and seen[-1] == (7, 7, 4)

    (photo_folder / "new.jpg").write_bytes(encode())
    (photo_folder / "0.jpg").write_bytes(encode(size=(80, 80)))
    report = pipeline.extract(tmp_path / "out")
    assert (report.listed, report.done) == (8, 2)
    assert pipeline.extract(tmp_path / "out").done == 0

    landing = pb.Landing(tmp_path / "out")
    rows = [row for table in landing.iter_images() for row in table.to_pylist()]
    assert len(rows) == len({row["image_id"] for row in rows}) == 8
    assert next(r for r in rows if r["image_id"].endswith("/0.jpg"))["size"]["pixels"] == 6400


def test_neighbours_are_the_same_ones_on_ray(monkeypatch):
    vectors = make_faces(3000, 64, seed=1).vectors
    monkeypatch.setattr("pixelbrain.identity.neighbours._ELSEWHERE_FROM", 3000)
    monkeypatch.setattr("pixelbrain.identity.cells.SHARDS", 3)
    here = nearest_neighbours(vectors, 10, exact=False)
    with on_ray() as over:
        there = nearest_neighbours(vectors, 10, exact=False, over=over)
        assert np.array_equal(there[0], here[0]) and np.array_equal(there[1], here[1])
        for _ in range(20):  # when it was cancelled after it had failed, Ray aborted this process by the seventh
            with pytest.raises(EngineError, match="a task on Ray failed: .*division by zero"):
                list(over(lambda _shared, shard: {1: "done"}.get(len(shard)) or 1 / 0, Shared(), [range(1), range(2)]))


def test_nothing_to_do_is_said(tmp_path):
    with pytest.raises(SourceError, match="no image in"):
        pb.Pipeline(pb.DataLoader(str(tmp_path)), [Size()]).extract(tmp_path / "out")


def test_a_module_that_cannot_start_ends_the_run(photo_folder, tmp_path):
    with pytest.raises(EngineError, match="no such luck"):
        pb.Pipeline(pb.DataLoader(str(photo_folder)), [Dies()]).extract(tmp_path / "out")
    assert not pb.Landing(tmp_path / "out").exists()


def test_a_module_that_the_workers_do_not_have_is_named(photo_folder, tmp_path, monkeypatch):
    """It is on the path of this process alone: of a Ray that was joined, no node has it."""
    source = "from tests.unit.engine.modules_for_tests import Size\n\n\nclass Away(Size):\n    name = 'away'\n"
    (tmp_path / "only_here.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    away = importlib.import_module("only_here").Away
    with pytest.raises(EngineError, match="No module named 'only_here'"):
        pb.Pipeline(pb.DataLoader(str(photo_folder)), [away()]).extract(tmp_path / "out")

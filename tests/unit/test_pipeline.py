"""A pipeline in Python is a run like the command's: one lock, one listing, an entry in run.json, a stop that stops."""

from __future__ import annotations

import dataclasses

import pytest

import pixelbrain as pb
from pixelbrain.engine.extract import ExtractReport
from pixelbrain.errors import ConfigError, OutLockedError, StoppedError, StoreError
from pixelbrain.record import read_record, write_stage
from tests.unit.engine.modules_for_tests import Size
from tests.unit.landed_out import LOADED


class CountedLoader(pb.DataLoader):
    """Counts how often its source is listed."""

    listings = 0

    def list_images(self):
        self.listings += 1
        return super().list_images()


def test_a_run_lists_once_and_locks_once(photo_folder, landed, loads, taken):
    loader = CountedLoader(str(photo_folder))
    report = pb.Pipeline(loader, [Size()]).run(landed, chroma="http://chroma:8000")
    assert loader.listings == 1 and taken == ["run"]
    assert (report.extract.listed, report.extract.done, report.ask, report.load) == (7, 0, [], LOADED)
    assert report.out.uri == str(landed)
    assert loads == [f"Database('{landed}', mongo='{landed}/db/mongo', chroma='http://chroma:8000')"]


def test_a_run_is_on_record(photo_folder, landed, loads):
    pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()], placement=pb.Placement(actors=3 * "1")).run(landed)
    record = read_record(landed)
    assert record["settings"]["source"] == str(photo_folder) and record["settings"]["modules"] == ["size"]
    assert record["settings"]["actors"] == {"": "111"} and record["settings"]["classifier"] is None
    assert record["stages"]["extract"]["listed"] == 7 and record["stages"]["load"]["seconds"] == 1.23


def test_what_a_pipeline_is_not_told_stays_on_record(photo_folder, landed, loads):
    before = {"mongo": "mongodb://db/x", "strategy": "dbscan", "classifier": "resnet18", "top_k": 7}
    write_stage(landed, "load", {}, settings=before)
    pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()]).run(landed, chroma="http://c:1")
    settings = read_record(landed)["settings"]
    assert (settings["mongo"], settings["chroma"]) == ("mongodb://db/x", "http://c:1")
    assert (settings["strategy"], settings["classifier"], settings["top_k"]) == ("dbscan", None, None)


def test_out_in_use_is_refused(photo_folder, landed, loads, another_run):
    pipeline = pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()])
    with another_run(landed):
        for stage in (pipeline.extract, pipeline.ask, pipeline.run):
            with pytest.raises(OutLockedError):
                stage(landed)
    assert not loads


def test_on_a_cluster_stores_are_servers_before_any_work(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.engine.plan.nodes.count_nodes", lambda: 3)
    loader = CountedLoader(str(photo_folder))
    with pytest.raises(StoreError):
        pb.Pipeline(loader, [Size()]).run(tmp_path / "out")
    assert loader.listings == 1 and not (tmp_path / "out").exists()


def test_a_stopped_extract_is_a_report_and_a_stopped_run_loads_nothing(photo_folder, landed, loads, monkeypatch):
    stopped = ExtractReport(
        listed=7, done=3, failed=0, failures={}, moved=0, copies=0, gone=0, stopped=True, seconds=1, working_seconds=1,
        seconds_by_activity={}, plan=None,
    )  # fmt: skip
    monkeypatch.setattr("pixelbrain.engine.extract.extract", lambda *_args, **_options: stopped)
    pipeline = pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()])
    assert pipeline.extract(landed) is stopped
    with pytest.raises(StoppedError, match="3 images have landed"):
        pipeline.run(landed)
    assert not loads and read_record(landed)["stages"]["extract"]["stopped"] is True


def test_what_extract_is_told_arrives(photo_folder, tmp_path, monkeypatch):
    told = {}
    report = ExtractReport(
        listed=0, done=0, failed=0, failures={}, moved=0, copies=0, gone=0, stopped=False, seconds=1, working_seconds=0,
        seconds_by_activity={}, plan=None,
    )  # fmt: skip

    def extract(loader, modules, out, **options):
        told.update(options, loader=loader, modules=modules)
        return report

    monkeypatch.setattr("pixelbrain.engine.extract.extract", extract)
    loader, module, progress = pb.DataLoader(str(photo_folder)), Size(), lambda *_: None
    placement = pb.Placement(device="cpu", gpus_per_actor=0.5)
    pipeline = pb.Pipeline(loader, [module], placement=placement)
    pipeline.extract(
        tmp_path / "out", retry_failed=True, force=True, prune=True, prune_gone_source=False, thumbnails=False,
        progress=progress, debug=True,
    )  # fmt: skip
    assert told == {
        "loader": loader, "modules": [module], "placement": placement, "retry_failed": True, "force": True,
        "prune": True, "prune_gone_source": False, "thumbnails": False, "progress": progress, "debug": True,
        "looked": (list(loader.list_images()), True),
    }  # fmt: skip
    assert dataclasses.asdict(pb.Pipeline(loader, [module], device="cpu").placement)["device"] == "cpu"


def test_a_pipeline_needs_a_module_that_looks(photo_folder):
    with pytest.raises(ConfigError, match="at least one module that looks"):
        pb.Pipeline(pb.DataLoader(str(photo_folder)), [pb.Gpt4VModule("people_detector")])


def test_weights_are_the_modules_own_business(photo_folder, landed, monkeypatch):
    monkeypatch.setattr(
        "pixelbrain.stages.stages.fetch_missing", lambda *_: pytest.fail("they have folders of their own")
    )
    assert pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()]).extract(landed).listed == 7

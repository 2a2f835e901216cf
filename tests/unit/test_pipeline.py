"""A pipeline in Python is a run like the command's: one lock, one listing, an entry in run.json, a stop that stops."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

import pixelbrain as pb
from pixelbrain.asking.answer_records import AskReport
from pixelbrain.asking.pending import pending_images
from pixelbrain.engine.extract import ExtractReport
from pixelbrain.errors import ConfigError, OutLockedError, StoppedError, StoreError
from pixelbrain.record import read_record, write_stage
from pixelbrain.stages.stages import Stages
from tests.unit.engine.modules_for_tests import Size
from tests.unit.engine.standing import LAYOUTS, LOOKED, Above, Bright, Finder, Here, rows_of
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


def test_a_pipeline_that_only_asks_lands_what_it_asks_about(photo_folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda job, _looks: Here(job, "fused"))
    monkeypatch.setattr(Stages, "check_asking", lambda *_: None)
    monkeypatch.setattr(Stages, "check", lambda *_: None)
    monkeypatch.setattr("pixelbrain.engine.ask.run.ask", lambda **given: asked.append(given) or AskReport())
    module = pb.Gpt4VModule("people_detector", where="width == 60")
    pipeline = pb.Pipeline(pb.DataLoader(photo_folder), [pb.Where("status = 'ok'"), module])
    assert module.where == "width == 60"  # it may be in another pipeline
    assert pipeline.extract(tmp_path / "out").done == 7
    pipeline.ask(tmp_path / "out")
    (given,) = asked
    tables = list(pending_images(given["landing"], given["settings"], given["where"]))
    assert sum(map(len, tables)) == 1 and given["where"].text == "(status = 'ok'\n) and (width == 60\n)"
    with pytest.raises(ConfigError, match="at least one module"):
        pb.Pipeline(pb.DataLoader(photo_folder), [pb.Where("true")])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_behind_a_filter_modules_look_only_where_it_holds(tmp_path, encode, monkeypatch, layout):
    (tmp_path / "photos").mkdir()
    for width in (12, 25, 38, 61):
        (tmp_path / "photos" / f"{width}.png").write_bytes(encode("PNG", size=(width, 20)))
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda job, _looks: Here(job, layout))
    out, loader = tmp_path / "out", pb.DataLoader(tmp_path / "photos")

    def run(*modules, **more) -> tuple[dict[str, int], ExtractReport]:
        LOOKED.clear()
        pipeline = pb.Pipeline(loader.clone(**more), modules, placement=pb.Placement(layout=layout, executor="ray"))
        report = pipeline.extract(out, thumbnails=False, progress=False)
        return dict(Counter(name for name, _photo in LOOKED)), report

    looked, report = run(Finder(), pb.Where("faces.n_faces > 0"), Bright(), pb.Where("n_faces > 1"), Above())
    assert looked == {"facenet": 4, "bright": 2} and (report.listed, report.done, report.failed) == (4, 7, 1)
    said = {name: (row["bright"] is not None, row["above"] is not None) for name, row in rows_of(out).items()}
    assert said == {"12.png": (False,) * 2, "25.png": (True, False), "38.png": (True, True), "61.png": (False,) * 2}
    assert run(Finder(), pb.Where("faces.n_faces > 0"), Bright())[0] == {}
    assert run(Finder(), pb.Where("width < 30"), Bright())[1].done == 1  # of 25.png, it has landed
    assert rows_of(out)["12.png"]["bright"]["faces"] == []
    assert run(Bright(), where="faces.x1 = 0")[0] == {} and run(Bright(), where="status = 'ok'")[1].done == 1
    assert run(pb.Where("n_faces > 5"), Finder(left=1))[0] == {}
    assert {row["status"] for row in rows_of(out).values()} == {"ok"}
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda *_: pytest.fail("work began"))
    for text, said in {
        "faces.skore > 0": "did you mean faces.score",
        "facenet.turns > 0": "did you mean facenet.turn",
        "bright is null": "bright is not known",  # it comes behind
        "n_faces = 'two'": "'two' is a text, and is compared with a number",
    }.items():
        with pytest.raises(ConfigError, match=said):
            pb.Pipeline(loader, [Finder(left=2), pb.Where(text), Bright()]).extract(tmp_path / "fresh")
        with pytest.raises(ConfigError, match=said):
            pb.Pipeline(loader, [Finder(), pb.Gpt4VModule("people_detector", where=text)]).run(tmp_path / "fresh")
    assert not pb.Landing(tmp_path / "fresh").count_images()
    with pytest.raises(ConfigError, match="cannot be read"):
        pb.Where("n_faces >")


def test_weights_are_the_modules_own_business(photo_folder, landed, monkeypatch):
    monkeypatch.setattr(
        "pixelbrain.stages.stages.fetch_missing", lambda *_: pytest.fail("they have folders of their own")
    )
    assert pb.Pipeline(pb.DataLoader(str(photo_folder)), [Size()]).extract(landed).listed == 7

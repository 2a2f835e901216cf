"""The stages of a config: one lock for a run and an app, the entry in run.json, and what a later stage is told."""

from __future__ import annotations

import logging

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.config import RunConfig
from pixelbrain.engine.extract import ExtractReport
from pixelbrain.errors import ConfigError, OutLockedError
from pixelbrain.landing.landing import Landing
from pixelbrain.record import read_record, write_stage
from pixelbrain.stages.stages import Stages
from tests.unit.landed_out import LOADED

SIZE = "tests.unit.engine.modules_for_tests:Size"


@pytest.fixture
def listings(monkeypatch) -> list[str]:
    """The sources that were listed."""
    from pixelbrain.images.loader import DataLoader

    found: list[str] = []
    list_images = DataLoader.list_images

    def counted(loader):
        found.append(loader.source)
        return list_images(loader)

    monkeypatch.setattr(DataLoader, "list_images", counted)
    return found


def test_the_command_run_lists_once_and_locks_once(photo_folder, landed, loads, taken, listings):
    result = CliRunner().invoke(cli, ["run", str(photo_folder), "--out", str(landed), "--module", SIZE])
    assert result.exit_code == 0, result.output
    assert listings == [str(photo_folder)] and taken == ["run"] and len(loads) == 1
    record = read_record(landed)
    assert list(record["stages"]) == ["extract", "load", "report"] and record["settings"]["classifier"] == "resnet50"
    assert "extract   0 images, 7 were there already" in result.output
    assert "load      7 images into MongoDB" in result.output


def test_a_later_stage_is_told_what_was_recorded(landed):
    write_stage(landed, "load", {}, settings={"chroma": "http://c:1", "strategy": "dbscan", "max_megapixels": 200})
    config = Stages.over(str(landed), strategy=None).config
    assert (config.chroma, config.strategy, config.max_megapixels) == ("http://c:1", "dbscan", 200)
    assert Stages.over(str(landed), strategy="pairwise").config.strategy == "pairwise"


@pytest.mark.parametrize(("name", "uri"), [("mongo", "mongodb://me:***@db/x"), ("chroma", "http://me:***@c:1")])
def test_a_secret_is_given_again_where_a_store_is_asked(name, uri, landed):
    write_stage(landed, "load", {}, settings={name: uri})
    with pytest.raises(ConfigError, match=f"give --{name} again.*PIXELBRAIN_{name.upper()}"):
        Stages.over(str(landed))
    assert Stages.over(str(landed), stores=False)
    assert Stages.over(str(landed), **{name: uri.replace("***", "again")})


def test_a_later_stage_leaves_on_record_what_extract_was_told(landed):
    write_stage(landed, "extract", {}, settings={"source": "photos", "top_k": 7, "strategy": "dbscan"})
    Stages.over(str(landed), chroma="http://c:1").context.record("load", {"seconds": 1.234, "images": 7})
    record = read_record(landed)
    assert record["settings"] == {
        "source": "photos", "top_k": 7, "strategy": "dbscan", "chroma": "http://c:1",
    }  # fmt: skip
    assert record["stages"]["load"]["seconds"] == 1.23 and record["stages"]["load"]["images"] == 7


def test_without_a_display_the_log_hears_it(landed, loads, caplog):
    stages = Stages(RunConfig(out=str(landed)))
    with caplog.at_level(logging.INFO), stages.database() as database:
        assert stages.load(database) is LOADED
    assert "load      7 images into MongoDB, 0 image and 0 face vectors into ChromaDB, 1 s" in caplog.messages


def test_a_loader_is_of_the_source(tmp_path):
    told = {"limit": 3, "s3_endpoint": "http://s3", "max_megapixels": 200}
    loader = Stages(RunConfig(source="photos", out=str(tmp_path), **told)).context.loader()
    assert loader.max_megapixels == 200
    assert (loader.source, loader.limit, loader.s3_endpoint) == ("photos", 3, "http://s3")
    with pytest.raises(ConfigError, match="no SOURCE"):
        Stages(RunConfig(out=str(tmp_path))).context.loader()


def test_modules_are_those_that_look(tmp_path):
    config = RunConfig(
        modules=("resnet", "gpt4v", SIZE), offline=True, top_k=3,
        gpt4v={"question": "people_detector"}, out=str(tmp_path),
    )  # fmt: skip
    resnet, size = Stages(config).context.modules()
    assert (resnet.name, resnet.settings()["top_k"], size.name) == ("resnet", 3, "size")


def test_out_is_named():
    with pytest.raises(ConfigError, match="no OUT"):
        Stages(RunConfig(source="photos"))


def test_weights_of_a_config_are_fetched_once_out_is_ours(photo_folder, landed, another_run, monkeypatch):
    fetched = []
    monkeypatch.setattr("pixelbrain.stages.stages.fetch_missing", lambda modules, *_: fetched.append(modules[0].name))
    stages = Stages(RunConfig(source=str(photo_folder), out=str(landed), modules=(SIZE,)))
    with another_run(landed), pytest.raises(OutLockedError):
        stages.extract()
    assert not fetched
    stages.extract()
    assert fetched == ["size"]


def test_a_report_beside_a_run_leaves_run_json_to_it(landed, another_run):
    with another_run(landed):
        assert Stages(RunConfig(out=str(landed))).report().exists()
    assert "report" not in read_record(landed).get("stages", {})
    Stages(RunConfig(out=str(landed))).report()
    assert "report" in read_record(landed)["stages"]


def test_whatever_extract_and_compact_did_others_read_each_image_once(photo_folder, landed):
    def ids() -> list[str]:
        return sorted(pd.read_parquet(landed / "images")["image_id"])

    def land_again(generation: int) -> None:
        (part, *_) = Landing(landed).parts
        rows = pq.read_table(landed / part.name).slice(0, 3)
        Landing(landed).write_part(rows, generation=generation, block=0, piece=0, modules=part.modules)
        assert len(ids()) == 10

    once = ids()
    assert len(once) == 7
    land_again(5)
    result = CliRunner().invoke(cli, ["extract", str(photo_folder), "--out", str(landed), "--module", SIZE])
    assert result.exit_code == 0 and "7 were there already" in result.output and ids() == once
    land_again(50)
    assert CliRunner().invoke(cli, ["compact", str(landed)]).exit_code == 0 and ids() == once


def test_a_stopped_extract_is_read_by_others_too(photo_folder, landed, monkeypatch):
    stopped = ExtractReport(
        listed=7, done=3, failed=0, failures={}, moved=0, copies=0, gone=0, stopped=True, seconds=1, working_seconds=1,
        seconds_by_activity={}, plan=None,
    )  # fmt: skip
    told = []
    monkeypatch.setattr("pixelbrain.engine.extract.extract", lambda *_, **__: stopped)
    monkeypatch.setattr("pixelbrain.landing.published.publish", lambda landing, progress: told.append(landing))
    result = CliRunner().invoke(cli, ["extract", str(photo_folder), "--out", str(landed), "--module", SIZE])
    assert result.exit_code == 130 and len(told) == 1

"""Asking about what has landed: where it is limited to, what goes on record, and what it would take."""

from __future__ import annotations

import collections

import pytest

import pixelbrain as pb
from pixelbrain.asking.batch.rounds import BatchReport
from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.record import read_record
from pixelbrain.stages.asking import ask_batch, dry_run
from pixelbrain.stages.stages import Stages

QUESTIONS = ["people_detector", {"field": "mood", "question": "The mood?"}]


def over(out) -> Stages:
    return Stages(RunConfig(out=str(out)))


def test_what_is_asked_and_of_which_images(landed):
    module = pb.Gpt4VModule(questions=QUESTIONS, where="width > 60")
    given = over(landed).to_ask(module)
    assert (given["settings"], given["price"], given["limits"]) == (module.settings, module.price, module.limits)
    assert given["where"] is not None
    assert module.asked() == {"fields": "is_person, mood", "model": "gpt-4o-mini"}
    with pytest.raises(ConfigError):
        over(landed).to_ask(pb.Gpt4VModule(questions=QUESTIONS, where="colour == 3"))
    with pytest.raises(LandingError, match="nothing has landed"):
        over(landed / "elsewhere").to_ask(module)


def test_a_field_that_did_not_land_is_asked_of_mongodb_if_it_is_there(landed, monkeypatch):
    asked_for = []
    ids = Landing(landed).index.image_id.to_pylist()

    def get_field(database, field):
        asked_for.append(field)
        return {ids[2]: 5, ids[3]: 1, "file:///gone.jpg": 5}

    monkeypatch.setattr("pixelbrain.stores.database.Database.get_field", get_field)
    module = pb.Gpt4VModule("people_detector", where="rating > 3 and width > 10")
    with pytest.raises(ConfigError, match="rating is not known"):
        dry_run(over(landed), module)
    assert asked_for == []  # no server is started for it
    monkeypatch.setattr("pixelbrain.stores.mongo.connection.MongoConnection.exists", property(lambda _: True))
    assert "1 image to ask" in " ".join(dry_run(over(landed), module))
    assert asked_for == ["rating"]


def test_a_dry_run_counts_the_images_that_can_be_asked_about(landed):
    module = pb.Gpt4VModule("people_detector")
    assert "7 images" in " ".join(dry_run(over(landed), module))
    assert "2 images" in " ".join(dry_run(over(landed), module, limit=2))


def test_batches_lock_out_and_go_on_record(landed, monkeypatch):
    def batches(landing, *, wait, limit, progress, **given):
        assert RunLock(landing.storage, what="test").holders() == 1 and (wait, limit) == (False, 3)
        return BatchReport(submitted=1, running=1, answers=collections.Counter(ok=2))

    monkeypatch.setattr("pixelbrain.asking.batch.run.ask_batch", batches)
    monkeypatch.setattr("pixelbrain.asking.look.look_at", lambda *_, **__: None)  # nobody listens
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    module = pb.Gpt4VModule("people_detector")
    report = ask_batch(Stages(RunConfig(out=str(landed), mongo="mongodb://h/x")), module, wait=False, limit=3)
    figures = read_record(landed)["stages"]["ask"]
    assert "mongo" not in read_record(landed)["settings"]  # it may have been read, and was not loaded into
    assert report.answers["ok"] == 2 and figures.pop("seconds") < 30 and figures.pop("finished")
    assert figures == {
        "fields": "is_person", "model": "gpt-4o-mini", "answers": {"ok": 2}, "cost_usd": "0", "running": 1,
    }  # fmt: skip

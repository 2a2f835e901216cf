"""The Batch API lane where OUT is in S3: what one machine sends, another one collects."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import pixelbrain as pb
from pixelbrain.asking.batch.run import ask_batch
from pixelbrain.asking.pending import spent_usd
from pixelbrain.landing.landing import Landing
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.landed import land_plain_images

OUT = "s3://batches/my out"


def test_batches_are_sent_here_and_collected_there(
    fake: FakeOpenAI, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.create_bucket(Bucket="batches")
    here, there = tmp_path / "here", tmp_path / "there"
    for name, value in {**fake.environment, "AWS_ENDPOINT_URL_S3": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(name, value)
    module = pb.Gpt4VModule("How wide is it?", field="width_px", answer="int")
    asked = {"settings": module.settings, "price": module.price, "limits": module.limits, "poll_s": 0.05}

    monkeypatch.setenv("XDG_CACHE_HOME", str(here))
    land_plain_images(tmp_path, 6, out=OUT)
    fake.control(batch_line_s=1)
    report = ask_batch(Landing(OUT), **asked, wait=False)
    assert (report.submitted, report.requests, report.running) == (1, 6, 1)
    found = s3.list_objects_v2(Bucket="batches", Prefix="my out/answers/batches/")["Contents"]
    assert sorted(".".join(one["Key"].rsplit("/")[-1].split(".")[1:]) for one in found) == ["json", "requests.jsonl"]
    assert not list(here.rglob("*.upload.jsonl"))

    monkeypatch.setenv("XDG_CACHE_HOME", str(there))
    fake.control(batch_line_s=0)
    landing = Landing(OUT)
    done = ask_batch(landing, **asked)
    assert (done.submitted, done.collected, done.running, done.answers) == (0, 1, 0, {"ok": 6})
    answers = landing.answer_log.read("width_px")
    assert answers is not None and sorted(answers["answer"].to_pylist()) == [64 + number for number in range(6)]
    stats = fake.stats()
    assert (stats["answered_distinct"], stats["answered_again"]) == (6, 0)
    assert Decimal(stats["billed_usd"]) == spent_usd(landing.answer_log, ["width_px"])
    assert ask_batch(landing, **asked).submitted == 0

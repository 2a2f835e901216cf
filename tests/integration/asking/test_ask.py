"""Asking on a real Ray, of the strict fake: typed answers that belong to their image, limits, money, no leak."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.asking.photo import prepare_photo
from pixelbrain.asking.retry import StopJob
from pixelbrain.engine.ask import ask, read_where
from pixelbrain.landing.parquet import Landing
from pixelbrain.report.export import export
from pixelbrain.sources import read_bytes
from pixelbrain.stores.load import load
from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import plain_image
from tests.integration.asking.landed import land_plain_images

QUESTIONS = [
    {"field": "is_red", "question": "Is it red?", "answer": "bool"},
    {"field": "width_px", "question": "How wide is it?", "answer": "int"},
]


@pytest.fixture
def environment(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> FakeOpenAI:
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


def run(landing: Landing, window_s: float = 60, **settings):
    module = pb.Gpt4VModule(**(settings if "question" in settings else {"questions": QUESTIONS, **settings}))
    where = read_where(landing, module.where)
    limits = dataclasses.replace(module.limits, window_s=window_s)
    return ask(landing, module.settings, module.price, limits, where=where), module


def expected(image_id: str, module: pb.Gpt4VModule, field: str):
    """What the fake says about the image as we would send it."""
    sent = prepare_photo(read_bytes(image_id), price=module.price, detail=module.settings.detail, image_id=image_id)
    question = next(q for q in module.settings.questions if q.field == field)
    return expected_answer(sent.jpeg, question.answer.json_schema())


def delivered_usd(fake: FakeOpenAI) -> Decimal:
    stats = fake.stats()
    return Decimal(stats["billed_usd"]) - Decimal(stats["lost_usd"])


@pytest.mark.usefixtures("ray_running")
def test_every_image_has_its_own_typed_answer_and_copies_are_free(environment, tmp_path):
    landing = land_plain_images(tmp_path, 120, copies=30)
    report, module = run(landing, actors=2, concurrency=16)
    assert report.images == 150 and report.statuses == {"ok": 300} and report.remembered == 60
    assert report.cost_usd == delivered_usd(environment) > 0
    rows = [row for table in landing.iter_images() for row in table.to_pylist()]
    assert len(rows) == 150
    for row in rows:
        assert row["is_red"]["answer"] is expected(row["image_id"], module, "is_red")
        assert row["width_px"]["answer"] == expected(row["image_id"], module, "width_px")
    assert len({row["width_px"]["answer"] for row in rows}) == 120  # a mixed-up answer would be seen
    assert set(environment.answered().values()) == {1}

    again, _ = run(landing)
    assert again.images == 0 and again.cost_usd == 0
    one_more, _ = run(landing, questions=[*QUESTIONS, {"field": "grey", "question": "How grey?", "answer": "float"}])
    assert one_more.images == 150 and one_more.statuses == {"ok": 450}
    assert one_more.remembered == 300 + 30  # the two questions of before, and the copies' third
    assert report.cost_usd + one_more.cost_usd == delivered_usd(environment)


@pytest.mark.usefixtures("ray_running")
def test_where_looks_at_earlier_answers(environment, tmp_path):
    landing = land_plain_images(tmp_path, 40)
    run(landing, questions=QUESTIONS[:1])
    report, _ = run(landing, question="In a word?", field="word", where='is_red and status == "ok" and width > 70')
    reds = [r for t in landing.iter_images() for r in t.to_pylist() if r["is_red"]["answer"] and r["width"] > 70]
    assert report.images == len(reds) > 5 and all(isinstance(r["word"]["answer"], str) for r in reds)


@pytest.mark.usefixtures("ray_running")
def test_the_limit_is_kept_and_used(environment, tmp_path):
    """2,000 images over 4 actors; 50 requests a second, counted in every window of half a minute."""
    environment.control(rpm=3000, window_s=30, latency_ms=100)
    landing = land_plain_images(tmp_path, 2000)
    report, _ = run(landing, questions=QUESTIONS[:1], rpm=3000, window_s=30, actors=4, concurrency=128)
    assert report.statuses == {"ok": 2000}
    assert environment.stats()["max_requests_sent_per_window"] <= 1500
    times = sorted(entry["at"] for entry in environment.requests())
    assert len(times) == 2000
    assert 1999 / (times[-1] - times[0]) >= 0.9 * 50


@pytest.mark.usefixtures("ray_running")
def test_the_budget_is_never_exceeded_and_more_money_continues(environment, tmp_path):
    landing = land_plain_images(tmp_path, 60)
    environment.control(latency_ms=50)
    report, _ = run(landing, questions=QUESTIONS[:1], budget_usd="0.01", actors=2, concurrency=16)
    assert 0 < report.cost_usd == delivered_usd(environment) <= Decimal("0.01")
    assert report.statuses["over_budget"] + report.statuses["ok"] == 60 and report.statuses["over_budget"] > 20
    more, _ = run(landing, questions=QUESTIONS[:1], budget_usd="1")
    assert more.images == report.statuses["over_budget"] and more.statuses == {"ok": more.images}
    assert set(environment.answered().values()) == {1}


@pytest.mark.usefixtures("ray_running")
def test_no_money_stops_the_job_and_keeps_what_was_answered(environment, tmp_path):
    landing = land_plain_images(tmp_path, 80)
    environment.control(faults=[{"kind": "quota", "after": 30}], latency_ms=20)
    with pytest.raises(StopJob, match="quota|billing|money"):
        run(landing, questions=QUESTIONS[:1], concurrency=8)
    answered = landing.answer_log.read("is_red")
    assert len(answered) >= 30 and answered["status"].to_pylist().count("ok") == len(environment.answered())
    environment.control(faults=[])
    report, _ = run(landing, questions=QUESTIONS[:1])
    assert report.statuses["ok"] == 80 - len([s for s in answered["status"].to_pylist() if s == "ok"])


@pytest.mark.usefixtures("ray_running")
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "429", "probability": 0.1, "seed": 1, "retry_after_s": 1}, "ok"),
        ({"kind": "500", "probability": 0.2, "seed": 1}, "ok"),
        ({"kind": "cut", "probability": 0.1, "seed": 1}, "ok"),
        ({"kind": "misfit", "per_image": 2}, "invalid"),
        ({"kind": "refusal"}, "refused"),
        ({"kind": "400"}, "failed"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_every_fault_ends_with_a_truthful_status(environment, tmp_path, fault, status):
    landing = land_plain_images(tmp_path, 30)
    environment.control(faults=[fault])
    report, _ = run(landing, questions=QUESTIONS[:1], concurrency=16)
    assert report.statuses == {status: 30}
    rows = landing.answer_log.read("is_red").to_pylist()
    assert len(rows) == 30 and (status == "ok" or all(row["error_type"] for row in rows))


@pytest.mark.usefixtures("ray_running")
def test_a_killed_limiter_comes_back_without_a_burst(environment, tmp_path):
    """Its process is killed in the middle; the new one waits a whole window, here of 5 s, before it permits more."""
    environment.control(rpm=1200, window_s=5, latency_ms=50)
    landing = land_plain_images(tmp_path, 180)
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(environment.requests()) < 40:
            time.sleep(0.1)
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [""])[0].startswith("ray::LimiterActor"):
                process.kill()
                killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    report, _ = run(landing, questions=QUESTIONS[:1], rpm=1200, window_s=5, concurrency=16)
    killer.join()
    assert len(killed) == 1
    assert report.statuses == {"ok": 180} and set(environment.answered().values()) == {1}
    assert environment.stats()["max_requests_sent_per_window"] <= 100


@pytest.mark.usefixtures("ray_running")
def test_images_in_s3_go_as_presigned_urls(environment, s3, tmp_path):
    s3.create_bucket(Bucket="asked")
    rows = []
    for index in range(5):
        data = plain_image((50 * index, 20, 20), (70 + index, 50))
        s3.put_object(Bucket="asked", Key=f"in/{index} ü.jpg", Body=data)
        size = {"width": 70 + index, "height": 50, "sha256": hashlib.sha256(data).hexdigest()}
        rows.append({"image_id": f"s3://asked/in/{index} ü.jpg", "version": "1", "status": "ok", **size})
    landing = Landing(tmp_path / "out")
    table = pa.Table.from_pylist(rows, pa.schema(schema.BASE_FIELDS))
    landing.write_part(table, generation=1, block=0, piece=0, modules={})
    report, _ = run(landing, questions=QUESTIONS[1:], image_urls=True, s3_endpoint=s3.meta.endpoint_url, concurrency=4)
    assert report.statuses == {"ok": 5}, landing.answer_log.read("width_px").to_pylist()
    shown = [row["width_px"]["answer"] for t in landing.iter_images() for row in t.to_pylist()]
    assert shown == [70, 71, 72, 73, 74]


def test_killed_five_times_nothing_is_lost_and_little_is_paid_twice(fake, tmp_path, pixelbrain):
    """SIGKILL of the command and of all its processes, at moments drawn from a printed seed."""
    import random
    import subprocess
    import sys

    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = random.Random(seed)
    landing = land_plain_images(tmp_path, 250)
    fake.control(latency_ms=200)
    concurrency = 8
    command = [
        str(Path(sys.executable).parent / "pixelbrain"), "ask", str(landing.out), "--field", "width_px",
        "--question", "How wide?", "--answer", "int", "--concurrency", str(concurrency), "--rpm", "3000",
    ]  # fmt: skip
    env = {**os.environ, **fake.environment}
    for _ in range(5):
        seen = len(fake.requests())
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(fake.requests()) < seen + 16 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.6))
        for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
            if victim.pid != os.getpid():
                try:
                    os.kill(victim.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        process.wait()
    pixelbrain(*command[1:], **fake.environment)
    rows = Landing(landing.out).answer_log.read("width_px").to_pylist()
    assert Counter(row["status"] for row in rows) == {"ok": 250}
    for row in rows:
        assert 64 <= row["answer"] < 64 + 250
    assert len(fake.answered()) == 250
    assert sum(fake.answered().values()) - 250 <= concurrency * 5  # what is in flight when it is killed, and no more


def test_the_command_from_dry_run_to_mongodb_and_no_key_anywhere(fake, tmp_path, pixelbrain):
    landing = land_plain_images(tmp_path, 12)
    args = ["ask", landing.out, "--question", "people_detector"]
    planned = pixelbrain(*args, "--dry-run", "--rpm", "500", **fake.environment)
    assert "12 images to ask gpt-4o-mini about" in planned.stdout and "batch" in planned.stdout
    assert not fake.requests()
    done = pixelbrain(*args, **fake.environment)
    assert "is_person: 12 ok" in done.stderr
    with pb.Database.open(landing.out) as database:
        load(Landing(landing.out), database)
        found = list(database.find_images({"is_person.status": "ok"}))
    assert len(found) == 12 and all(type(d["is_person"]["answer"]) is bool for d in found)
    export(Landing(landing.out), tmp_path / "images.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert len(rows) == 12 and {type(row["is_person"]) for row in rows} == {bool}
    key = {**fake.environment, "OPENAI_API_KEY": "sk-wrong-0123456789abcdef"}
    wrong = pixelbrain(*args[:2], "--question", "perfect_eyes", check=False, **key)
    assert wrong.returncode == 1 and wrong.stderr.count("Error: ") == 1 and "OPENAI_API_KEY" in wrong.stderr
    for text in (done.stdout, done.stderr, wrong.stderr):
        assert fake.key not in text and "0123456789abcdef" not in text
    for path in Path(landing.out).rglob("*"):
        if path.is_file() and "db" not in path.parts:
            assert fake.key.encode() not in path.read_bytes(), path


def test_a_batch_is_submitted_and_collected_by_another_command(fake, tmp_path, pixelbrain):
    landing = land_plain_images(tmp_path, 12)
    args = ["ask", landing.out, "--field", "hue", "--question", "Hue?", "--answer", "choice:red,green,blue", "--batch"]
    sent = pixelbrain(*args, "--no-wait", **fake.environment)
    assert "1 batches on their way" in sent.stderr
    for _ in range(20):
        done = pixelbrain(*args, "--no-wait", **fake.environment)
        if "on their way" not in done.stderr:
            break
        time.sleep(1)
    assert "hue: 12 ok" in done.stderr
    rows = Landing(landing.out).answer_log.read("hue").to_pylist()
    assert {row["answer"] for row in rows} <= {"red", "green", "blue"} and len(rows) == 12
    assert sum(row["cost_usd"] for row in rows) == delivered_usd(fake)
    assert "0 batches cancelled" in pixelbrain("ask", landing.out, "--cancel", **fake.environment).stdout

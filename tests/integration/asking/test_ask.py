"""Asking on a real Ray, of the strict fake: typed answers that belong to their image, limits, money, no leak."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import threading
import time
from decimal import Decimal

import pyarrow as pa
import pytest
from PIL import Image, ImageStat

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.asking.pending import pending_images
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.asking.request.photo import prepare_photo
from pixelbrain.config import Placement
from pixelbrain.engine.ask.run import ask
from pixelbrain.engine.extract import extract
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.names import read_where
from pixelbrain.sources import read_bytes
from pixelbrain.sources.local import uri_to_path
from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.conftest import actors_of_ours, delivered_usd, plain_image
from tests.integration.asking.landed import land_plain_images
from tests.unit.engine.modules_for_tests import Size

QUESTIONS = [
    {"field": "is_red", "question": "Is it red?", "answer": "bool"},
    {"field": "width_px", "question": "How wide is it?", "answer": "int"},
]

LOCAL = Placement(executor="local")


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
    jpeg, _size = prepare_photo(
        read_bytes(image_id), price=module.price, detail=module.settings.detail, image_id=image_id
    )
    question = next(q for q in module.settings.questions if q.field == field)
    return expected_answer(jpeg, question.answer.json_schema())


def colour(image_id: str) -> list[float]:
    """The mean colour of an image."""
    with Image.open(uri_to_path(image_id)) as image:
        return ImageStat.Stat(image.convert("RGB")).mean


@pytest.mark.usefixtures("ray_running")
def test_every_image_has_its_own_typed_answer_and_copies_are_free(environment, tmp_path):
    """And the next question is asked about those alone of which an earlier one's answer says so."""
    landing = land_plain_images(tmp_path, 40, copies=10)
    report, module = run(landing, actors=2, concurrency=16)
    assert report.images == 50 and report.statuses == {"ok": 100} and report.remembered == 20
    assert report.cost_usd == delivered_usd(environment) > 0
    rows = [row for table in landing.iter_images() for row in table.to_pylist()]
    assert len(rows) == 50
    for row in rows:
        assert row["is_red"]["answer"] is expected(row["image_id"], module, "is_red")
        assert row["width_px"]["answer"] == expected(row["image_id"], module, "width_px")
    assert len({row["width_px"]["answer"] for row in rows}) == 40  # a mixed-up answer would be seen
    assert set(environment.answered().values()) == {1}

    again, _ = run(landing)
    assert again.images == 0 and again.cost_usd == 0
    one_more, _ = run(landing, questions=[*QUESTIONS, {"field": "grey", "question": "How grey?", "answer": "float"}])
    assert one_more.images == 50 and one_more.statuses == {"ok": 150}
    assert one_more.remembered == 100 + 10  # the two questions of before, and the copies' third
    assert report.cost_usd + one_more.cost_usd == delivered_usd(environment)

    about_reds, _ = run(landing, question="In a word?", field="word", where='is_red and status == "ok" and width > 70')
    reds = [r for t in landing.iter_images() for r in t.to_pylist() if r["is_red"]["answer"] and r["width"] > 70]
    assert about_reds.images == len(reds) > 5 and all(isinstance(r["word"]["answer"], str) for r in reds)


@pytest.mark.usefixtures("ray_running")
def test_answers_follow_images_that_move_and_nothing_is_paid_again(environment, tmp_path):
    landing = land_plain_images(tmp_path, 12)
    before, _ = run(landing)

    def answers() -> dict[str, tuple]:
        rows = [row for table in landing.iter_images() for row in table.to_pylist()]
        return {r["image_id"].rpartition("/")[2]: (r["is_red"]["answer"], r["width_px"]["answer"]) for r in rows}

    known = answers()
    moved = (tmp_path / "photos").rename(tmp_path / "moved")
    report = extract(pb.DataLoader(str(moved)), [Size()], landing.storage, placement=LOCAL)
    landing.refresh()
    assert report.moved == landing.count_images() == 12 and answers() == known  # before anybody asks
    again, _ = run(landing)
    assert again.images == 0
    (moved / "copy.jpg").write_bytes((moved / "00003.jpg").read_bytes())
    extract(pb.DataLoader(str(moved)), [Size()], landing.storage, placement=LOCAL)
    copied, _ = run(landing)
    assert (copied.images, copied.remembered, copied.cost_usd) == (1, 2, 0)
    assert answers()["copy.jpg"] == known["00003.jpg"]
    assert delivered_usd(environment) == before.cost_usd


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
    left = pending_images(landing, pb.Gpt4VModule(questions=QUESTIONS[:1]).settings)  # what the next run asks about
    assert sum(map(len, left)) == 80 - len(environment.answered())


@pytest.mark.usefixtures("ray_running")
def test_every_fault_ends_with_a_truthful_status(environment, tmp_path):
    """Those that pass end as ok, those that stay as what they are; test_asker.py has each fault by itself."""
    landing = land_plain_images(tmp_path, 30)
    image_ids = landing.index.image_id.to_pylist()
    struck = dict(zip(image_ids[3::9], [("misfit", "invalid"), ("refusal", "refused"), ("400", "failed")], strict=True))
    stay = [{"kind": kind, "colour": colour(one), "tolerance": 4} for one, (kind, _) in struck.items()]
    pass_by = [{"kind": "500", "count": 4}, {"kind": "cut", "count": 3}]
    pass_by += [{"kind": "429", "count": 2, "after": 9, "retry_after_s": 1}]
    environment.control(faults=stay + pass_by)
    report, _ = run(landing, questions=QUESTIONS[:1], concurrency=16)
    assert report.statuses == {"ok": 27, "invalid": 1, "refused": 1, "failed": 1}
    assert environment.stats()["faults"] == {"misfit": 2, "refusal": 1, "400": 1, "429": 2, "500": 4, "cut": 3}
    rows = landing.answer_log.read("is_red").to_pylist()
    assert len(rows) == 30
    for row in rows:
        assert row["status"] == struck.get(row["image_id"], ("", "ok"))[1]
        assert bool(row["error_type"]) == (row["status"] != "ok")


@pytest.mark.usefixtures("ray_running")
def test_the_limit_is_kept_by_all_actors_together_and_a_killed_limiter_comes_back_without_a_burst(
    environment, tmp_path
):
    """180 images over 2 actors; 25 requests a second, counted in every window of 5 s.

    The limiter's process is killed in the middle; the new one waits a whole window before it permits more.
    """
    environment.control(rpm=1500, window_s=5, latency_ms=100)
    landing = land_plain_images(tmp_path, 180)
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(environment.requests()) < 30:
            time.sleep(0.1)
        for process in actors_of_ours("LimiterActor"):
            process.kill()
            killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    report, _ = run(landing, questions=QUESTIONS[:1], rpm=1500, window_s=5, actors=2, concurrency=64)
    killer.join()
    assert len(killed) == 1
    assert report.statuses == {"ok": 180} and set(environment.answered().values()) == {1}
    assert environment.stats()["max_requests_sent_per_window"] <= 125
    times = sorted(entry["at"] for entry in environment.requests())
    assert len(times) == 180 and max(later - one for one, later in itertools.pairwise(times)) >= 5


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

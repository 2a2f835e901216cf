"""The Batch API lane against the strict fake: whatever happens, each image is answered and paid for once."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import openai
import pytest

from pixelbrain.asking.batch_state import BatchStore
from pixelbrain.asking.photo import prepare_photo
from pixelbrain.asking.prices import find_price
from pixelbrain.asking.retry import StopJob
from pixelbrain.errors import LandingError
from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.batch_world import SETTINGS, WIDTH, World
from tests.integration.asking.conftest import plain_image
from tests.integration.asking.cutting_proxy import cutting_proxy

ROOT = Path(__file__).parents[3]


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """A world with so many images, all different in size and colour."""

    def make(count: int, **more) -> World:
        images = tmp_path / "images"
        images.mkdir()
        for number in range(count):
            (images / f"{number:04d}.jpg").write_bytes(plain_image((number % 256, 99, 50), (40 + number, 30)))
        return World(tmp_path / "out", images, **more)

    return make


def check_answers(world: World, count: int) -> None:
    """Each image has its own answers, and none twice."""
    records = world.records()
    ok = [record for record in records if record["status"] == "ok"]
    assert Counter((r["image_id"], r["field"]) for r in ok) == Counter(
        {(path.name, q.field): 1 for path in world.images.iterdir() for q in world.settings.questions}
    )
    assert len(ok) == count * len(world.settings.questions)
    price = find_price(world.settings.model)
    questions = {question.field: question for question in world.settings.questions}
    for record in ok:
        data = (world.images / record["image_id"]).read_bytes()
        sent = prepare_photo(data, price=price, detail=world.settings.detail)
        assert record["answer"] == expected_answer(sent.jpeg, questions[record["field"]].answer.json_schema())


def check_paid_once(world: World, fake: FakeOpenAI, count: int) -> None:
    """The fake answered each image once, and its bill is our report's sum to the last digit."""
    stats = fake.stats()
    assert stats["answered_again"] == 0
    assert stats["answered_distinct"] == count
    assert Decimal(stats["billed_usd"]) == world.cost_usd()


def test_answers_come_home_from_several_batches(make_world, fake: FakeOpenAI, client: openai.OpenAI) -> None:
    world = make_world(25)
    seen: list[tuple[int, int, int]] = []
    report = world.run(client, max_requests=10, progress=lambda *numbers: seen.append(numbers))
    assert (report.submitted, report.requests, report.collected, report.running) == (3, 25, 3, 0)
    assert report.answers == {"ok": 50} and not report.more
    check_answers(world, 25)
    check_paid_once(world, fake, 25)
    assert report.cost_usd == world.cost_usd()
    assert seen[-1] == (25, 25, 0)
    record = world.records()[0]
    assert record["model"] == "gpt-4o-mini-2024-07-18" and record["remembered"] is False
    left = sorted(path.suffix for path in world.states_folder.iterdir() if path.name != ".lock")
    assert left == [".json"] * 3  # no requests, no uploads
    texts = "".join(path.read_text() for path in world.states_folder.glob("*.json"))
    assert str(world.out) not in texts and fake.key not in texts
    assert [one.purpose for one in client.files.list()].count("batch") == 0  # our uploads are gone again


def test_files_keep_under_the_byte_limit(make_world, fake: FakeOpenAI, client: openai.OpenAI) -> None:
    world = make_world(9)
    fake.control(max_file_mb=0.006)
    report = world.run(client, max_bytes=6_000)
    assert report.submitted > 1
    check_answers(world, 9)


def test_no_wait_returns_and_another_machine_goes_on(
    make_world, fake: FakeOpenAI, client: openai.OpenAI, tmp_path: Path
) -> None:
    world = make_world(12)
    fake.control(batch_line_s=0.05)
    report = world.run(client, wait=False, max_requests=6)
    assert (report.submitted, report.running, report.answers) == (2, 2, {})
    assert report.reserved_usd > 0
    again = world.run(client, wait=False, max_requests=6)
    assert (again.submitted, again.running) == (0, 2)
    shutil.move(world.out, tmp_path / "elsewhere")
    there = World(tmp_path / "elsewhere", world.images)
    done = there.run(client)
    assert (done.submitted, done.collected, done.running) == (0, 2, 0)
    check_answers(there, 12)
    check_paid_once(there, fake, 12)


def test_an_image_that_cannot_be_read_is_a_failed_record(make_world, fake, client) -> None:
    world = make_world(3)
    (world.images / "0001.jpg").write_bytes(b"no image")
    report = world.run(client)
    assert report.answers == {"ok": 4, "failed": 2} and report.requests == 2
    failed = [record for record in world.records() if record["status"] == "failed"]
    assert len(failed) == 2
    assert {(r["image_id"], r["error_type"], r["key"]) for r in failed} == {("0001.jpg", "DecodeError", None)}


def test_a_picture_that_is_there_twice_is_paid_for_once(make_world, fake, client) -> None:
    world = make_world(4)
    for copy in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(world.images / "0002.jpg", world.images / copy)
    report = world.run(client, max_requests=2)
    assert report.requests == 4 and report.answers == {"ok": 14} and report.remembered == 6
    check_answers(world, 7)
    check_paid_once(world, fake, 4)
    remembered = [record for record in world.records() if record["remembered"]]
    assert len(remembered) == 6
    assert {record["cost_usd"] for record in remembered} == {"0"}


def test_a_second_question_does_not_pay_the_first_again(make_world, fake, client) -> None:
    world = make_world(5, settings=replace(SETTINGS, questions=(WIDTH,)))
    fake.control(batch_line_s=0.02)
    world.run(client, wait=False)
    both = World(world.out, world.images)
    report = both.run(client)
    assert report.requests == 5 and report.collected == 2
    check_answers(both, 5)
    assert Decimal(fake.stats()["billed_usd"]) == both.cost_usd()
    assert {record["question"] for record in both.records() if record["field"] == "width_px"} == {
        next(r["question"] for r in both.records() if r["field"] == "width_px")
    }


def test_two_fields_with_one_question_are_asked_once(make_world, fake, client) -> None:
    twin = replace(WIDTH, field="width_again")
    world = make_world(3, settings=replace(SETTINGS, questions=(WIDTH, twin)))
    world.run(client)
    check_answers(world, 3)
    check_paid_once(world, fake, 3)


# --- what goes wrong with requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["truncated", "misfit", "prose"])
def test_an_unusable_answer_is_asked_again_once(make_world, fake, client, kind: str) -> None:
    world = make_world(6)
    fake.control(faults=[{"kind": kind, "per_image": 1, "count": 3}])
    report = world.run(client)
    assert report.answers == {"ok": 12} and (report.submitted, report.requests) == (2, 9)
    check_answers(world, 6)
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd() == report.cost_usd
    assert not list(world.states_folder.glob("*.again.jsonl"))


def test_a_truncated_answer_gets_more_room(make_world, fake, client) -> None:
    world = make_world(3, settings=replace(SETTINGS, max_output_tokens=5))
    report = world.run(client)
    assert report.answers == {"ok": 6} and report.requests == 6
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd()


@pytest.mark.parametrize(
    ("kind", "status", "error_type"),
    [
        ("misfit", "invalid", "InvalidAnswer"),
        ("truncated", "invalid", "Truncated"),
        ("refusal", "refused", "Refused"),
        ("content_filter", "refused", "ContentFilter"),
        ("content_policy", "refused", "ContentFilter"),
        ("400", "failed", "BadRequest"),
        ("500", "failed", "ServerError"),
    ],
)
def test_every_fault_ends_in_a_truthful_status(make_world, fake, client, kind, status, error_type) -> None:
    world = make_world(4)
    colour = [1.0, 99.0, 50.0]
    fake.control(faults=[{"kind": kind, "colour": colour, "tolerance": 0.7}])
    report = world.run(client)
    struck = [place for place, record in world.newest().items() if record["status"] != "ok"]
    assert len(struck) >= 2 and report.answers[status] == len(struck)
    assert {world.newest()[place]["error_type"] for place in struck} == {error_type}
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd()


def test_no_money_on_the_account_stops_the_job_and_keeps_the_answers(make_world, fake, client) -> None:
    world = make_world(10)
    fake.control(faults=[{"kind": "quota", "after": 4}])
    with pytest.raises(StopJob, match="no money"):
        world.run(client)
    assert len(world.records()) == 8
    fake.control(faults=[])
    world.run(client)
    check_answers(world, 10)
    check_paid_once(world, fake, 10)


# --- what goes wrong with batches -------------------------------------------------------------------------------------


def test_an_expired_batch_keeps_what_it_finished(make_world, fake, client) -> None:
    world = make_world(10)
    fake.control(faults=[{"kind": "batch_expire", "after_lines": 4, "count": 1}])
    report = world.run(client)
    assert (report.submitted, report.requests) == (2, 16)
    assert [state["status"] for state in world.states()] == ["expired", "completed"]
    check_answers(world, 10)
    check_paid_once(world, fake, 10)


def test_batches_that_always_expire_come_to_an_end(make_world, fake, client) -> None:
    world = make_world(3)
    fake.control(faults=[{"kind": "batch_expire", "after_lines": 0}])
    report = world.run(client)
    assert report.answers == {"failed": 6} and report.submitted == 3
    assert {record["error_type"] for record in world.records()} == {"batch_expired"}


def test_a_failed_batch_is_sent_again(make_world, fake, client) -> None:
    world = make_world(4)
    fake.control(faults=[{"kind": "batch_fail", "count": 1}])
    report = world.run(client)
    assert report.submitted == 2
    check_answers(world, 4)
    check_paid_once(world, fake, 4)


def test_waves_keep_under_a_known_token_limit(make_world, fake, client) -> None:
    world = make_world(12)
    limit = 10_500  # three requests of 2,833 tokens for the image, and some for the text
    fake.control(enqueued_tokens=limit)
    report = world.run(client, enqueued_token_limit=limit)
    assert report.submitted == 4
    assert {state["status"] for state in world.states()} == {"completed"}  # none was turned away
    check_answers(world, 12)
    check_paid_once(world, fake, 12)


def test_the_token_limit_is_learnt_from_a_refusal(make_world, fake, client) -> None:
    world = make_world(12)
    limit = 10_500
    fake.control(enqueued_tokens=limit)
    report = world.run(client)
    statuses = [state["status"] for state in world.states()]
    assert statuses == ["failed"] + ["completed"] * 4 and report.submitted == 5
    check_answers(world, 12)
    check_paid_once(world, fake, 12)


def test_a_queue_that_others_fill_shrinks_the_wave(make_world, fake, client) -> None:
    world = make_world(8)
    fake.control(faults=[{"kind": "batch_fail", "code": "token_limit_exceeded", "count": 2}])
    world.run(client)
    assert [state["requests"] for state in world.states() if state["status"] == "failed"] == [8, 4]
    check_answers(world, 8)
    check_paid_once(world, fake, 8)


def test_a_queue_that_stays_full_ends_the_run(make_world, fake, client) -> None:
    world = make_world(2)
    fake.control(faults=[{"kind": "batch_fail", "code": "token_limit_exceeded"}])
    with pytest.raises(StopJob, match="other batches fill it"):
        world.run(client, poll_s=0.001)
    assert world.records() == []


def test_a_wrong_key_stops_the_job(make_world, fake, client) -> None:
    world = make_world(2)
    wrong = openai.OpenAI(api_key="sk-wrong-key-0123456789", base_url=fake.base_url, max_retries=0)
    with pytest.raises(StopJob, match="does not take the key") as raised:
        world.run(wrong)
    assert "0123456789" not in str(raised.value)
    world.run(client)
    check_answers(world, 2)
    check_paid_once(world, fake, 2)


def test_a_batch_of_another_account_is_not_paid_again_unseen(make_world, fake, client) -> None:
    world = make_world(2)
    world.run(client, wait=False)
    with FakeOpenAI() as other, openai.OpenAI(api_key=other.key, base_url=other.base_url, max_retries=0) as stranger:
        with pytest.raises(StopJob, match="does not know batch_"):
            world.run(stranger)
        assert other.stats()["batch_lines"] == 0


@pytest.mark.parametrize(
    "lost",
    ["POST /v1/files", "POST /v1/batches", "GET /v1/batches", "GET /v1/batches/*", "GET /v1/files/*/content"],
)
def test_a_lost_reply_costs_nothing(
    make_world, fake, lost: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pixelbrain.asking.batch_api.FIRST_WAIT_S", 0.01)
    world = make_world(8)
    cuts = Counter({lost: 2, "POST /v1/batches": 1})
    with (
        cutting_proxy(fake.base_url, cuts) as base_url,
        openai.OpenAI(api_key=fake.key, base_url=base_url, max_retries=0) as client,
    ):
        report = world.run(client)
    assert report.submitted == 1 and cuts[lost] < 2
    assert "once more in" in caplog.text and fake.key not in caplog.text
    check_answers(world, 8)
    check_paid_once(world, fake, 8)


# --- money ------------------------------------------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_more_money_continues(make_world, fake, client) -> None:
    world = make_world(20)
    budget = Decimal("0.0025")
    report = world.run(client, budget_usd=budget)
    counts = Counter(record["status"] for record in world.newest().values())
    assert counts["over_budget"] > 0 and counts["ok"] > 0 and counts.total() == 40
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd() <= budget
    one = world.cost_usd() / (counts["ok"] // 2)
    assert budget - world.cost_usd() < 2 * one  # and it was used
    assert not report.more
    world.run(client, budget_usd=Decimal(1))
    check_answers(world, 20)
    check_paid_once(world, fake, 20)


def test_a_budget_of_nothing_sends_nothing(make_world, fake, client) -> None:
    world = make_world(3)
    report = world.run(client, budget_usd=Decimal(0))
    assert report.answers == {"over_budget": 6} and report.submitted == 0
    assert fake.stats()["batch_lines"] == 0


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_keeps_what_was_finished(make_world, fake, client) -> None:
    world = make_world(10)
    fake.control(batch_line_s=0.1)
    world.run(client, wait=False)
    while fake.stats()["batch_lines"] < 3:
        time.sleep(0.02)
    report = world.cancel(client)
    assert (report.cancelled, report.ended, report.pending) == (1, 0, 0)
    kept = report.answers["ok"]
    assert 0 < kept < 20 and len(world.records()) == kept
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd() == report.cost_usd
    fake.control(batch_line_s=0)
    world.run(client)
    check_answers(world, 10)
    check_paid_once(world, fake, 10)


def test_cancel_beside_a_run_that_waits(make_world, fake, client) -> None:
    world = make_world(30)
    fake.control(batch_line_s=0.1)
    reports = []
    running = threading.Thread(target=lambda: reports.append(world.run(client, max_requests=10)))
    running.start()
    while fake.stats()["batch_lines"] < 3:
        time.sleep(0.02)
    assert world.cancel(client).handed_over
    running.join(20)
    assert len(reports) == 1 and reports[0].cancelled and reports[0].more and reports[0].running == 0
    assert 0 < reports[0].answers["ok"] < 60
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd()


def test_two_processes_do_not_share_the_batches(make_world, client) -> None:
    world = make_world(1)
    with BatchStore(world.out).lock(), pytest.raises(LandingError, match="another process"):
        world.run(client)


def test_nothing_to_cancel(make_world, fake, client) -> None:
    assert make_world(1).cancel(client).cancelled == 0


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_batch_that_was_made_but_not_recorded_is_found_again(make_world, fake, client) -> None:
    world = make_world(5)
    fake.control(batch_line_s=0.02)
    world.run(client, wait=False)
    store = BatchStore(world.out)
    (state,) = store.active()
    state.stage, state.batch_id, state.status = "submitting", None, None  # as if killed before the record
    store.save(state)
    report = world.run(client)
    assert (report.submitted, report.collected) == (0, 1)
    check_answers(world, 5)
    check_paid_once(world, fake, 5)


def test_a_batch_that_was_recorded_but_never_made_is_sent(make_world, fake, client) -> None:
    world = make_world(5)
    with (
        openai.OpenAI(api_key=fake.key, base_url="http://127.0.0.1:9/v1", max_retries=0) as nowhere,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(StopJob, match="run the same command again later"),
    ):
        patch.setattr("pixelbrain.asking.batch_api.PATIENCE_S", 0.1)
        world.run(nowhere)
    assert [state["stage"] for state in world.states()] == ["submitting"]
    report = world.run(client)
    assert report.submitted == 1 and len(world.states()) == 1
    check_answers(world, 5)
    check_paid_once(world, fake, 5)


def test_half_collected_batches_are_collected_again(make_world, fake, client) -> None:
    world = make_world(8)
    fake.control(batch_line_s=0.01)
    world.run(client, wait=False)
    saved = {path.name: path.read_bytes() for path in world.states_folder.iterdir()}
    world.run(client)
    lines = world.journal_path.read_text().splitlines(keepends=True)
    assert len(lines) == 16
    world.journal_path.write_text("".join(lines[:7]))  # killed in the middle of an image's two records
    for name, data in saved.items():
        (world.states_folder / name).write_bytes(data)
    world.run(client)
    check_answers(world, 8)
    check_paid_once(world, fake, 8)


def test_killed_again_and_again_nothing_is_lost_or_paid_twice(make_world, fake, client) -> None:
    count = 60
    world = make_world(count)
    fake.control(batch_line_s=0.01)
    rng = random.Random(3)
    command = [sys.executable, "-m", "tests.integration.asking.batch_world", str(world.out), str(world.images)]
    kills = 0
    for _ in range(6):
        started = len(world.states())
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **fake.environment})
        deadline = time.monotonic() + 20
        while process.poll() is None and len(world.states()) == started and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait(20)
    assert kills >= 3
    world.run(client, max_requests=7)
    check_answers(world, count)
    check_paid_once(world, fake, count)
    assert not [path for path in world.states_folder.iterdir() if path.name.endswith((".jsonl", ".tmp"))]

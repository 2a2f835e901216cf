"""The Batch API lane against the strict fake: each image is answered and paid for once, within the budget."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import openai

from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.batch_world import SETTINGS, WIDTH, World, check_answers, check_paid_once


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
    fake.control(batch_line_s=1)
    report = world.run(client, wait=False, max_requests=6)
    assert (report.submitted, report.running, report.answers) == (2, 2, {})
    assert report.reserved_usd > 0
    again = world.run(client, wait=False, max_requests=6)
    assert (again.submitted, again.running) == (0, 2)
    fake.control(batch_line_s=0)
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
    fake.control(batch_line_s=1)
    world.run(client, wait=False)
    fake.control(batch_line_s=0)
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

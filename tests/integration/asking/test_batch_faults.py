"""The Batch API lane when requests or batches go wrong: no image is lost, and none is paid for twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import openai
import pytest

from pixelbrain.asking.request.failures import StopJob
from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.batch_world import SETTINGS, check_answers, check_paid_once
from tests.integration.asking.cutting_proxy import cutting_proxy

# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["truncated", "misfit", "prose"])
def test_an_unusable_answer_is_asked_again_once(make_world, fake, client, kind: str) -> None:
    world = make_world(6)
    fake.control(faults=[{"kind": kind, "per_image": 1, "count": 3}])
    report = world.run(client)
    assert report.answers == {"ok": 12} and (report.submitted, report.requests) == (2, 9)
    check_answers(world, 6)
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd() == report.cost_usd
    assert not list(world.states_folder.glob("*.again.jsonl"))


def test_what_a_server_does_not_take_is_left_out_of_the_next_batch(make_world, fake, client, caplog) -> None:
    """Refused by line, in several batches at once: learned once, said once, and no try of an image."""
    world = make_world(6)
    fake.control(profile="mistral")
    report = world.run(client, max_requests=4)
    assert report.answers == {"ok": 12} and (report.submitted, report.requests) == (6, 18)
    said = [message for message in caplog.messages if "does not take" in message]
    assert len(said) == 2 and "max_tokens is sent instead" in said[0] and "detail" in said[1]
    check_answers(world, 6)
    check_paid_once(world, fake, 6)
    assert {state["dialect"]["token_limit"] for state in world.states()[2:]} == {"max_tokens"}


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


# --- batches ----------------------------------------------------------------------------------------------------------


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


def test_the_token_limit_is_learnt_from_a_refusal(make_world, fake, client) -> None:
    world = make_world(12)
    fake.control(enqueued_tokens=10_500)  # three requests of 2,833 tokens for the image, and some for the text
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
    with (
        openai.OpenAI(api_key="sk-wrong-key-0123456789", base_url=fake.base_url, max_retries=0) as wrong,
        pytest.raises(StopJob, match="does not take the key") as raised,
    ):
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


def test_when_no_batch_ends_for_long_enough_all_is_kept(make_world, fake, client) -> None:
    world = make_world(2, settings=replace(SETTINGS, max_batch_wait_s=0.2))
    fake.control(batch_line_s=1.5)
    with pytest.raises(StopJob, match=r"which is --max-wait, and 1 are on their way; .* the same command collects"):
        world.run(client)
    world.settings = SETTINGS
    report = world.run(client)
    assert report.answers == {"ok": 4} and (report.submitted, report.collected) == (0, 1)
    check_paid_once(world, fake, 2)


@pytest.mark.parametrize(
    "lost",
    ["POST /v1/files", "POST /v1/batches", "GET /v1/batches", "GET /v1/batches/*", "GET /v1/files/*/content"],
)
def test_a_lost_reply_costs_nothing(
    make_world, fake, lost: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pixelbrain.asking.batch.api.FIRST_WAIT_S", 0.01)
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

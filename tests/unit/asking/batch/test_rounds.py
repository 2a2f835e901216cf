"""Rounds of batches: until everything is answered, cancelled, or turned away."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.asking.batch.api import RejectedError
from pixelbrain.asking.batch.collect import TOKEN_LIMIT
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.errors import StopJob
from tests.unit.asking.batch.fake_api import FakeApi
from tests.unit.asking.batch.lane import Lane
from tests.unit.asking.batch.test_store import folder


def test_rounds_go_on_until_everything_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    seen: list[tuple[int, int, int]] = []
    report = one.run(*map(str, range(7)), max_requests=3, progress=lambda *numbers: seen.append(numbers))
    assert one.api.sizes == [3, 3, 1]
    assert (report.submitted, report.requests, report.collected, report.running) == (3, 7, 3, 0)
    assert report.answers == one.statuses() == {"ok": 7} and not report.more
    assert seen[-1] == (7, 7, 0)
    assert report.cost_usd == sum(Decimal(record["cost_usd"]) for record in one.memory.records) > 0
    assert {path.suffix for path in folder(tmp_path).iterdir()} == {".json"}


def test_the_journal_is_where_it_stays_before_a_batch_counts_as_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Lane(tmp_path, monkeypatch)
    end = BatchStore.end

    def noted(store: BatchStore, *given: Any) -> None:
        one.memory.events.append("end")
        end(store, *given)

    monkeypatch.setattr(BatchStore, "end", noted)
    one.run("1")
    assert one.memory.events == ["journal", "flush", "end"]


def test_what_cannot_be_used_is_asked_once_more_and_its_cost_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Lane(tmp_path, monkeypatch, FakeApi(lambda number: "no JSON" if number == 0 else '{"sky": "day"}'))
    report = one.run("1", "2")
    assert one.api.sizes == [2, 1] and one.statuses() == {"ok": 2}
    assert report.cost_usd == sum(Decimal(record["cost_usd"]) for record in one.memory.records)


def test_a_note_in_out_cancels_a_run_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    one.api.status = "in_progress"

    def note(*_numbers: int) -> None:
        one.store.cancel_wanted = not one.api.cancelled

    report = one.run("1", "2", max_requests=1, progress=note)
    assert report.cancelled and report.more and report.running == 0
    assert len(one.api.cancelled) == len(one.api.sizes) and not one.store.cancel_wanted


def test_a_full_queue_makes_smaller_rounds_and_another_refusal_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = RejectedError(TOKEN_LIMIT, "Enqueued token limit reached. Limit: 6,000 enqueued tokens.")
    one = Lane(tmp_path, monkeypatch, FakeApi(rejects=(full,)))
    report = one.run(*map(str, range(4)))
    assert max(one.api.sizes) == 2 and report.answers == {"ok": 4}
    other = Lane(tmp_path / "other", monkeypatch, FakeApi(rejects=(RejectedError("bad", "no"),)))
    with pytest.raises(StopJob, match="does not take the batch"):
        other.run("1")
    assert other.store.states() == [] and {path.name for path in folder(tmp_path / "other").iterdir()} == set()


def test_more_than_was_estimated_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = Lane(tmp_path, monkeypatch)
    monkeypatch.setattr("pixelbrain.asking.request.estimate._OVERRUN", Decimal("0.001"))
    report = one.run(*map(str, range(19)), max_requests=10)
    assert report.overrun.message is not None and report.overrun.message.startswith("19 requests cost")
    assert len([text for text in caplog.messages if "more than the estimate" in text]) == 1


def test_a_batch_of_which_every_request_failed_alike_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Lane(tmp_path, monkeypatch, FakeApi(lambda number: f"HTTP 400 no json_schema here (request req_{number}a)"))
    with pytest.raises(StopJob, match="all of 3 requests failed.*no json_schema here"):
        one.run(*map(str, range(3)))
    some = Lane(tmp_path / "some", monkeypatch, FakeApi(lambda number: "HTTP 400 no" if number else '{"sky": "day"}'))
    report = some.run(*map(str, range(3)))
    assert report.answers == {"ok": 1, "failed": 2} and report.reasons.most_common() == [("HTTP 400: no", 2)]

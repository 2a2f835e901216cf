"""A run: what it goes on from, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pixelbrain.errors import ConfigError
from tests.unit.asking.batch.lane import Lane
from tests.unit.asking.batch.test_store import SETTINGS


def test_no_wait_leaves_batches_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    one.api.status = "in_progress"
    report = one.run("1", "2", wait=False)
    assert (report.submitted, report.running, report.answers) == (1, 1, {}) and report.reserved_usd > 0
    one.api.status = "completed"
    report = one.run("1", "2")
    assert (report.submitted, report.collected, report.answers) == (0, 1, {"ok": 2}) and one.api.sizes == [2]


def test_a_note_for_a_run_that_is_no_more_cancels_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    one.store.cancel_wanted = True
    assert not one.run("1").cancelled and one.api.cancelled == []


def test_urls_that_end_do_not_go_with_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    monkeypatch.setattr("tests.unit.asking.batch.lane.SETTINGS", dataclasses.replace(SETTINGS, image_urls=True))
    with pytest.raises(ConfigError, match="image_urls does not go with batch"):
        one.run("1")

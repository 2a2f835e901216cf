"""What a run of batches did, and what is said when it cost more."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.asking.batch.lane import Lane


def test_more_than_was_estimated_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = Lane(tmp_path, monkeypatch)
    monkeypatch.setattr("pixelbrain.asking.request.estimate._OVERRUN", Decimal("0.001"))
    report = one.run(*map(str, range(19)), max_requests=10)
    assert report.overrun.message is not None and report.overrun.message.startswith("19 requests cost")
    assert len([text for text in caplog.messages if "more than the estimate" in text]) == 1

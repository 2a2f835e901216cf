"""Which images become requests, and what is recorded of the others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.asking.batch.lane import Lane


def test_copies_wait_and_what_cannot_be_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    report = one.run("1", "21", "b", "2")  # 21 looks as 1 does
    assert one.api.sizes == [2]
    assert report.answers == one.statuses() == {"ok": 3, "failed": 1} and report.remembered == 1
    failed = next(record for record in one.memory.records if record["status"] == "failed")
    assert (failed["image_id"], failed["error_type"], failed["key"]) == ("b", "DecodeError", None)
    again = one.run("41")  # and so does this one, later
    assert again.answers == {"ok": 1} and again.remembered == 1 and one.api.sizes == [2]


def test_the_rest_is_over_budget_and_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Lane(tmp_path, monkeypatch)
    one.run(*map(str, range(20)), budget_usd=Decimal("0.0007"))
    found = one.statuses()
    assert found["ok"] > 0 and found["over_budget"] > 0 and found.total() == 20
    spent = sum(Decimal(record["cost_usd"]) for record in one.memory.records)
    assert spent <= Decimal("0.0007")
    late = Lane(tmp_path / "late", monkeypatch)
    late.run(*map(str, range(100)), budget_usd=Decimal(0))
    assert late.statuses() == {"over_budget": 100} and late.api.sizes == [] and len(late.reads) < 40

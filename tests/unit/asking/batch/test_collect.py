"""An ended batch comes home: once, whatever was read before, and whatever is torn."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pixelbrain.asking.batch.collect import TOKEN_LIMIT, Collected, Collector, read_token_limit
from pixelbrain.asking.batch.pending_answers import PendingAnswers
from pixelbrain.asking.batch.store import BatchState, BatchStore
from pixelbrain.storage.open import open_storage
from tests.unit.asking.batch.fake_api import FakeApi, FakeMemory, result
from tests.unit.asking.batch.test_store import ROW, make_batch

OTHER = replace(ROW, custom_id="pb-2", image_id="other", keys={"sky": "k2"})


class Lines(FakeApi):
    """Result files as they are given."""

    def __init__(self, *lines: bytes) -> None:
        super().__init__()
        self._lines = lines

    def lines(self, file_id: str) -> Any:
        yield from self._lines


def collect(
    out: Path, *lines: bytes, memory: FakeMemory | None = None, **batch: Any
) -> tuple[Collected, BatchState, FakeMemory, BatchStore]:
    store, memory = BatchStore(open_storage(out)), memory or FakeMemory()
    state = make_batch(store, ROW, OTHER)
    ended = SimpleNamespace(
        id="batch_1", status="completed", completed_at=1_700_000_000, created_at=1, errors=None, model="gpt-4o-mini",
        output_file_id="out", error_file_id=None,
    )  # fmt: skip
    vars(ended).update(batch)
    with closing(PendingAnswers()) as pending:
        pending.load(store)
        found = Collector(store, Lines(*lines), pending, memory).collect(state, ended)  # type: ignore[arg-type]
    return found, state, memory, store


def line(custom_id: str) -> bytes:
    return json.dumps(result(custom_id)).encode()


def test_torn_and_doubled_lines_cost_nothing(tmp_path: Path) -> None:
    found, state, memory, store = collect(
        tmp_path, line("pb-1"), line("pb-1"), b'{"custom_id": "pb-2", "resp', b"", line("pb-9"), b"[1]"
    )
    assert found.answers == {"ok": 1} and found.again == 1 and len(memory.records) == 1
    assert [row.tries for row in store.again_rows()] == [1]
    assert (state.stage, state.counts) == ("ended", {"ok": 1, "again": 1})


def test_what_a_killed_process_journalled_is_not_journalled_or_counted_twice(tmp_path: Path) -> None:
    first, _, memory, _ = collect(tmp_path / "a", line("pb-1"), line("pb-2"))
    assert first.spent_usd == first.paid_usd > 0
    again, _, _, _ = collect(tmp_path / "b", line("pb-1"), line("pb-2"), memory=memory)
    assert len(memory.records) == 2
    assert again.paid_usd == first.paid_usd and again.spent_usd == 0


def test_a_cancelled_batch_has_tried_nothing(tmp_path: Path) -> None:
    found, _, _, store = collect(tmp_path, line("pb-1"), status="cancelled")
    assert found.again == 1 and list(store.again_rows()) == []


def test_a_failed_batch_says_which_lines_and_why(tmp_path: Path) -> None:
    errors = [SimpleNamespace(code="bad_line", message="no", line=2)]
    found, _, memory, _ = collect(tmp_path / "a", status="failed", errors=SimpleNamespace(data=errors))
    assert found.again == 1 and [record["image_id"] for record in memory.records] == ["other"]
    errors = [SimpleNamespace(code=TOKEN_LIMIT, message="Limit: 9,000 enqueued tokens.", line=None)]
    found, _, _, store = collect(tmp_path / "b", status="failed", errors=SimpleNamespace(data=errors))
    assert found.too_many_tokens and found.token_limit == 9_000 and list(store.again_rows()) == []  # no try of theirs
    errors = [SimpleNamespace(code="insufficient_quota", message="pay", line=None)]
    found, _, _, _ = collect(tmp_path / "c", status="failed", errors=SimpleNamespace(data=errors))
    assert found.stop is not None and found.paid_usd == Decimal(0)


def test_the_token_limit_is_read_from_the_message() -> None:
    message = "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 2,000,000 enqueued tokens."
    assert read_token_limit(message) == 2_000_000
    assert read_token_limit("Enqueued token limit reached.") is None

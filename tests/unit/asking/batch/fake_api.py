"""A Batch API in memory: what is sent is answered at the next look, in a batch's order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

GOOD = '{"sky": "day"}'


def result(custom_id: str, content: str = GOOD) -> dict[str, Any]:
    """A line of a result file."""
    if content.startswith("HTTP "):
        error = {"message": content[9:], "type": "invalid_request_error"}
        return {"custom_id": custom_id, "response": {"status_code": int(content[5:8]), "body": {"error": error}}}
    body = {
        "model": "gpt-4o-mini",
        "created": 1_600_000_000,
        "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}


class FakeApi:
    """As `BatchApi`; notes what it is told.

    Args:
        answer: the content of a request's answer, or its error ("HTTP 400 why"), by how many were answered before.
        rejects: batches that are refused first, with these errors.
    """

    def __init__(self, answer: Callable[[int], str] = lambda _number: GOOD, *, rejects: tuple[Exception, ...] = ()):
        self.batches: dict[str, Any] = {}
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.deleted: list[str] = []
        self.cancelled: list[str] = []
        self.sizes: list[int] = []  # requests of each batch
        self.status = "completed"  # of a batch at the next look
        self._answer, self._rejects, self._answered = answer, list(rejects), 0

    def upload(self, path: Path) -> str:
        self.files[path.name] = [json.loads(line) for line in path.read_bytes().splitlines()]
        return path.name

    def create(self, file_id: str, our_id: str) -> Any:
        if self._rejects:
            raise self._rejects.pop(0)
        self.sizes.append(len(self.files[file_id]))
        self.batches[f"batch_{our_id}"] = SimpleNamespace(
            id=f"batch_{our_id}", status="validating", input_file_id=file_id, request_counts=None, expires_at=None,
            created_at=1, errors=None, model="gpt-4o-mini", output_file_id=file_id, error_file_id=None,
        )  # fmt: skip
        return self.batches[f"batch_{our_id}"]

    def find(self, our_id: str) -> Any:
        return self.batches.get(f"batch_{our_id}")

    def retrieve(self, batch_id: str) -> Any:
        self.batches[batch_id].status = self.status
        return self.batches[batch_id]

    def cancel(self, batch_id: str) -> Any:
        self.cancelled.append(batch_id)
        self.batches[batch_id].status = "cancelled"
        return self.batches[batch_id]

    def lines(self, file_id: str) -> Iterator[bytes]:
        for request in self.files[file_id]:
            yield json.dumps(result(request["custom_id"], self._answer(self._answered))).encode()
            self._answered += 1

    def delete_file(self, file_id: str) -> None:
        self.deleted.append(file_id)


class FakeMemory:
    """As `AnswerMemory`; the journal is a list."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.events: list[str] = []

    def remembered(self, key: str) -> dict[str, Any] | None:
        final = (r for r in self.records if r["key"] == key and r["status"] in ("ok", "refused", "invalid"))
        return next(final, None)

    def journal(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        self.events.append("journal")

    def flush(self) -> None:
        self.events.append("flush")

"""The request files of the Batch API: JSONL within the API's limits, streamed to disk and never held in memory."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.questions.question import AskSettings
from pixelbrain.asking.request.body import question_hash, sent_parameters
from pixelbrain.errors import LandingError

__all__ = [
    "ENDPOINT",
    "MAX_BYTES",
    "MAX_REQUESTS",
    "RequestFile",
    "custom_id",
    "request_line",
    "settings_key",
]

ENDPOINT = "/v1/chat/completions"

# platform.openai.com/docs/guides/batch, "Rate limits", read in November 2026. Whether 200 MB are 200 * 10^6 or
# 200 * 2^20 bytes is not said: the smaller one is safe.
MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000


def custom_id(keys: dict[str, str]) -> str:
    """The id of the request that asks for these answers (field -> answer key): 43 characters of 64 allowed."""
    return "pb-" + hashlib.sha256("\n".join(sorted(keys.values())).encode()).hexdigest()[:40]


def request_line(row: Row, body: dict[str, Any]) -> bytes:
    """One line of a request file: the request as the Batch API wants it, with its end of line."""
    request = {"custom_id": row.custom_id, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def settings_key(settings: AskSettings) -> str:
    """16 hex digits, equal for runs that ask the same questions of the same model in the same way."""
    asked = {
        "questions": _questions(settings),
        "model": settings.model,
        "detail": settings.detail,
        "parameters": sent_parameters(settings),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _questions(settings: AskSettings) -> list[dict[str, Any]]:
    return [
        {"field": q.field, "text": q.text, "answer": q.answer.as_dict(), "hash": question_hash(settings, q)}
        for q in settings.questions
    ]


class RequestFile:
    """One batch in the making: `upload_path` for the server, and its rows for us.

    Args:
        store: where it goes.
        max_bytes, max_requests: of one file.
    """

    def __init__(self, store: BatchStore, *, max_bytes: int = MAX_BYTES, max_requests: int = MAX_REQUESTS) -> None:
        # by time, so that a folder's listing is their order; the random half keeps two machines apart
        self.id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        self.upload_path: Path = store.folder / f"{self.id}.upload.jsonl"
        self.requests = 0
        self.bytes = 0
        self.input_tokens = 0
        self.usd = Decimal(0)
        self.usual_usd = Decimal(0)
        self._store = store
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._rows_path = store.folder / f"{self.id}.requests.jsonl"
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
            self._upload = open(self.upload_path, "wb")  # noqa: SIM115 - closed by finish() or discard()
            self._rows = open(self._rows_path, "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise LandingError(f"cannot write into answers/batches: {error.strerror or error}") from None

    def has_room(self, line: bytes) -> bool:
        """One more request fits; the first one always does."""
        if not self.requests:
            return True
        return self.requests < self._max_requests and self.bytes + len(line) <= self._max_bytes

    def add(self, row: Row, line: bytes, usual_usd: Decimal) -> None:
        """Append a request, which usually costs `usual_usd`.

        Raises:
            LandingError: the disk is full, or not writable.
        """
        try:
            self._upload.write(line)
            self._rows.write(row.line())
        except OSError as error:
            raise LandingError(f"cannot write a batch's requests: {error.strerror or error}") from None
        self.requests += 1
        self.bytes += len(line)
        self.input_tokens += row.input_tokens
        self.usd += row.usd
        self.usual_usd += usual_usd

    def finish(self, settings: AskSettings, price: ModelPrice) -> BatchState:
        """Close both files, and record the batch as `submitting`.

        Raises:
            LandingError: the disk is full, or not writable.
        """
        try:
            self._upload.close()
            self._rows.flush()
            os.fsync(self._rows.fileno())  # the rows say whose an answer is: they must outlive a power cut
            self._rows.close()
        except OSError as error:
            raise LandingError(f"cannot write a batch's requests: {error.strerror or error}") from None
        state = BatchState(
            id=self.id,
            stage="submitting",
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            settings=settings_key(settings),
            model=settings.model,
            questions=_questions(settings),
            price={
                "input_usd_per_million": str(price.input_usd_per_million),
                "output_usd_per_million": str(price.output_usd_per_million),
                "batch_factor": str(price.batch_factor),
            },
            requests=self.requests,
            input_tokens=self.input_tokens,
            usd=self.usd,
            usual_usd=self.usual_usd,
        )
        self._store.save(state)
        return state

    def discard(self) -> None:
        """Nothing of it stays."""
        self._upload.close()
        self._rows.close()
        self.upload_path.unlink(missing_ok=True)
        self._rows_path.unlink(missing_ok=True)

"""A batch in the making, and sending it so that no crash can send it twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from pixelbrain.asking.batch.api import ENDPOINT, BatchApi, RejectedError
from pixelbrain.asking.batch.store import BatchState, BatchStore, Row
from pixelbrain.asking.cost.prices import DOLLARS, ModelPrice
from pixelbrain.asking.request.body import question_hash, sent_parameters
from pixelbrain.asking.settings import AskSettings
from pixelbrain.errors import LandingError
from pixelbrain.storage.local import why_not_written

logger = logging.getLogger(__name__)

# platform.openai.com/docs/guides/batch, "Rate limits", read in November 2026. Whether 200 MB are 200 * 10^6 or
# 200 * 2^20 bytes is not said: the smaller one is safe.
MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000


def custom_id(keys: Mapping[str, str]) -> str:
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


@dataclass
class RequestFile:
    """One batch in the making: JSONL within the API's limits, streamed to this machine's disk, and its rows for us."""

    store: BatchStore  # where its state goes
    settings: AskSettings  # what is asked
    price: ModelPrice
    _: KW_ONLY
    max_bytes: int = MAX_BYTES  # of one file
    max_requests: int = MAX_REQUESTS
    size_bytes: int = 0
    _rows: list[str] = field(default_factory=list)  # some 300 bytes each

    def __post_init__(self) -> None:
        self.state = BatchState(
            # by time, so that a folder's listing is their order; the random half keeps two machines apart
            id=f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}",
            stage="submitting",
            created_at="",  # once it is finished
            settings=settings_key(self.settings),
            model=self.settings.model,
            questions=_questions(self.settings),
            dialect=self.settings.dialect.as_dict(),
            price={name: str(getattr(self.price, name)) for name in DOLLARS},
        )
        self.path = self.store.upload_path(self.state.id)
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "wb")  # noqa: SIM115 - closed by finish() or discard()

    def has_room(self, line: bytes) -> bool:
        """One more request fits; the first one always does."""
        return not self._rows or (len(self._rows) < self.max_requests and self.size_bytes + len(line) <= self.max_bytes)

    def add(self, row: Row, line: bytes, usual_usd: Decimal) -> None:
        """Append a request that usually costs `usual_usd`. Raises `LandingError`: the disk is full, or not writable."""
        with self._explained():
            self._file.write(line)
        self._rows.append(row.line())
        self.size_bytes += len(line)
        self.state.requests += 1
        self.state.input_tokens += row.input_tokens
        self.state.usd += row.usd
        self.state.usual_usd += usual_usd

    def finish(self) -> BatchState:
        """Close the file, and record the batch as `submitting`.

        Raises `LandingError` where the disk is full, or OUT not writable.
        """
        with self._explained():
            self._file.close()
        self.state.created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.store.save_rows(self.state.id, self._rows)
        self.store.save(self.state)
        return self.state

    def discard(self) -> None:
        """Nothing of it stays on the disk; once it is sent, nothing has."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LandingError(why_not_written(self.path, error)) from None


def submit(state: BatchState, file: RequestFile, store: BatchStore, api: BatchApi) -> None:
    """Upload a batch's requests and start it.

    Its state is `submitting` in OUT already, and becomes `running`. The file is removed from the disk.

    Raises:
        RejectedError: the server refuses the batch; the state is the caller's to drop.
        StopJob: the server cannot be reached, or nothing can be sent. The next run finds out what it knows.
    """
    try:
        state.input_file_id = api.upload(file.path)
        store.save(state)
        try:
            batch = api.create(state.input_file_id, state.id)
        except RejectedError:
            api.delete_file(state.input_file_id)
            raise
    finally:
        file.discard()
    state.batch_id, state.status, state.stage = batch.id, batch.status, "running"
    store.save(state)
    logger.info("batch %s is %s: %d requests", state.id, batch.id, state.requests)


def recover(store: BatchStore, api: BatchApi, *, settle_s: float) -> None:
    """Take up what a killed process was about to send: the batches that the server knows run, the others never were.

    One that is not found is looked for once more after `settle_s` seconds: its creation may have been on its way when
    the process was killed.
    """
    store.clean()
    for state in store.active():
        if state.stage != "submitting":
            continue
        batch = api.find(state.id)
        if batch is None:
            time.sleep(settle_s)
            batch = api.find(state.id)
        if batch is not None:
            state.batch_id, state.input_file_id = batch.id, batch.input_file_id
            state.status, state.stage = batch.status, "running"
            store.save(state)
            logger.info("batch %s was sent as %s by a run that was ended", state.id, batch.id)
            continue
        if state.input_file_id:
            api.delete_file(state.input_file_id)
        store.drop(state)
        logger.info("batch %s was never sent", state.id)

"""The Batches endpoints, and the work behind them, done line by line and billed at half the price."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import Counter
from typing import Any

from aiohttp import web

from tests.fake_openai.batch_lines import ENDPOINT, BatchLine, LineError, read_lines, validate_lines
from tests.fake_openai.batch_object import Batch
from tests.fake_openai.billing import find_model
from tests.fake_openai.chat import read_json
from tests.fake_openai.completions import complete, look_at
from tests.fake_openai.errors import ApiError, bad_request
from tests.fake_openai.faults import Fault, Faults
from tests.fake_openai.files import Files, page
from tests.fake_openai.images import ImageReader
from tests.fake_openai.ledger import Ledger
from tests.fake_openai.profiles import PROFILES, as_openai_takes_it
from tests.fake_openai.settings import Settings

__all__ = ["Batches"]

_NOT_RUN = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}


class Batches:
    """All batches of the account, each with a task that works on it."""

    def __init__(self, settings: Settings, files: Files, faults: Faults, reader: ImageReader, ledger: Ledger) -> None:
        self._settings, self._files, self._faults = settings, files, faults
        self._reader, self._ledger = reader, ledger
        self._batches: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._enqueued: Counter[str] = Counter()  # prompt tokens of unfinished batches, by model
        self.enqueued_peak = 0

    async def close(self) -> None:
        """End the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/batches."""
        given = await read_json(request)
        if not isinstance(given, dict):
            raise bad_request("The JSON body of your request must be an object.")
        known = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
        for name in given:
            if name not in known:
                raise bad_request(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        for name, value in (("endpoint", ENDPOINT), ("completion_window", "24h")):
            if given.get(name) != value:
                message = f"Invalid value: {given.get(name)!r}. Supported values are: {value!r}."
                raise bad_request(message, param=name, code="invalid_value")
        metadata = given.get("metadata")
        if metadata is not None and not _good_metadata(metadata):
            message = "Invalid 'metadata': at most 16 texts of 512 characters, with names of at most 64."
            raise bad_request(message, param="metadata")
        stored = self._files.get(str(given.get("input_file_id")), param="input_file_id")
        if stored.purpose != "batch":
            raise bad_request("The file's purpose must be 'batch'.", param="input_file_id")
        batch = Batch(f"batch_{secrets.token_hex(12)}", stored.id, metadata)
        batch.enter("validating")
        self._batches[batch.id] = batch
        task = asyncio.create_task(self._work(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response(batch.body())

    async def retrieve(self, request: web.Request) -> web.Response:
        """GET /v1/batches/{id}."""
        return web.json_response(self._get(request).body())

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/batches, newest first."""
        return web.json_response(page([one.body() for one in reversed(self._batches.values())], request, most=100))

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/batches/{id}/cancel: what is done stays done; the batch is cancelled a moment later."""
        batch = self._get(request)
        if batch.status not in ("validating", "in_progress", "finalizing"):
            raise ApiError(409, f"Cannot cancel a batch with status '{batch.status}'.")
        if batch.status != "finalizing":
            batch.enter("cancelling")
        return web.json_response(batch.body())

    def _get(self, request: web.Request) -> Batch:
        batch_id = request.match_info["id"]
        if batch_id not in self._batches:
            raise ApiError(404, f"No batch found with id '{batch_id}'.")
        return self._batches[batch_id]

    async def _work(self, batch: Batch) -> None:
        enqueued = 0
        try:
            await asyncio.sleep(self._settings.batch_validate_s)
            fault = self._faults.pick_for_batch(batch.id)
            errors = await self._validate(batch, fault)
            if not errors:
                enqueued, errors = await self._enqueue(batch)
            if errors:
                batch.errors = errors
                batch.enter("failed")
                return
            if batch.status == "validating":
                batch.enter("in_progress")
            await self._run(batch, fault.after_lines if fault else None)
        except Exception as error:  # of the fake itself: to be seen by the test, not to hang it
            batch.errors = [LineError("fake_broke", f"{type(error).__name__}: {error}")]
            batch.enter("failed")
            raise
        finally:
            self._enqueued[batch.model or ""] -= enqueued

    async def _validate(self, batch: Batch, fault: Fault | None) -> list[LineError]:
        if fault is not None and fault.kind == "batch_fail":
            return [LineError(fault.code, "The batch failed as ordered.")]
        path = self._files.get(batch.input_file_id).path
        batch.total, model, errors = await asyncio.to_thread(
            validate_lines, path, max_lines=self._settings.max_batch_lines
        )
        batch.model = model or None
        return errors

    async def _enqueue(self, batch: Batch) -> tuple[int, list[LineError]]:
        """Count the prompt tokens against the limit of unfinished batches, if they fit under it."""
        limit, tokens = self._settings.enqueued_tokens, 0
        model = find_model(batch.model)
        assert model is not None
        for number, line in enumerate(read_lines(self._files.get(batch.input_file_id).path)):
            try:
                tokens += (await look_at(line.body, self._reader)).prompt_tokens
            except ApiError:
                continue  # an error of that line, later
            if number % 20 == 0:
                await asyncio.sleep(0)
        if limit and self._enqueued[batch.model or ""] + tokens > limit:
            message = f"Enqueued token limit reached for {model.name} in organization org-fake. Limit: {limit:,} "
            message += "enqueued tokens. Please try again once some in_progress batches have been completed."
            return 0, [LineError("token_limit_exceeded", message)]
        self._enqueued[batch.model or ""] += tokens
        self.enqueued_peak = max(self.enqueued_peak, self._enqueued[batch.model or ""])
        return tokens, []

    async def _run(self, batch: Batch, expire_after: int | None) -> None:
        good: list[str] = []
        bad: list[str] = []
        end = "completed"
        for number, line in enumerate(read_lines(self._files.get(batch.input_file_id).path)):
            if end == "completed" and batch.status == "cancelling":
                end = "cancelled"
            elif end == "completed" and expire_after is not None and number >= expire_after:
                end = "expired"
            if end != "completed":
                code, message = _NOT_RUN[end]
                bad.append(_line(line, None, {"code": code, "message": message}))
                batch.failed += 1
                continue
            await asyncio.sleep(self._settings.batch_line_s)
            status, body = await self._answer(batch, line)
            (good if status == 200 else bad).append(_line(line, {"status_code": status, "body": body}, None))
            batch.completed += status == 200
            batch.failed += status != 200
        if end == "completed":
            if batch.status == "cancelling":  # behind its last line
                end = "cancelled"
            else:
                batch.enter("finalizing")
        await asyncio.sleep(self._settings.batch_finalize_s)
        random.Random(self._settings.seed).shuffle(good)  # the order of the output is not that of the input
        batch.output_file_id = self._store(batch, "output", good)
        batch.error_file_id = self._store(batch, "error", bad)
        batch.enter(end)

    async def _answer(self, batch: Batch, line: BatchLine) -> tuple[int, dict[str, Any]]:
        entry = self._ledger.line(batch.id)
        entry.model = line.body["model"]
        profile, sent = PROFILES[self._settings.profile], line.body
        try:
            if self._settings.profile != "openai":
                if refused := profile.refuse(sent):
                    raise refused
                sent = as_openai_takes_it(sent)
            asked = await look_at(sent, self._reader)
            entry.image, entry.questions = asked.image.sha256, asked.questions
            fault = self._faults.pick(asked.target("batch"))
            if fault is not None:
                entry.fault = fault.kind
                if error := fault.error:
                    raise error
        except ApiError as error:
            entry.status, entry.error = error.status, error.code or error.type
            return error.status, error.body()
        completion = complete(asked, fault.kind if fault else None)
        self._ledger.bill(entry, asked, completion)
        self._ledger.deliver(entry)
        batch.tokens += Counter(input_tokens=completion.prompt_tokens, output_tokens=completion.completion_tokens)
        return 200, profile.dress(completion.body())

    def _store(self, batch: Batch, kind: str, lines: list[str]) -> str | None:
        if not lines:
            return None
        stored = self._files.create(f"{batch.id}_{kind}.jsonl", "batch_output")
        stored.path.write_text("".join(lines))
        return stored.id


def _line(line: BatchLine, response: dict[str, Any] | None, error: dict[str, Any] | None) -> str:
    if response is not None:
        response = {"request_id": f"req_{secrets.token_hex(12)}"} | response
    request_id = f"batch_req_{secrets.token_hex(12)}"
    return json.dumps({"id": request_id, "custom_id": line.custom_id, "response": response, "error": error}) + "\n"


def _good_metadata(metadata: Any) -> bool:
    return (
        isinstance(metadata, dict)
        and len(metadata) <= 16
        and all(len(name) <= 64 and isinstance(text, str) and len(text) <= 512 for name, text in metadata.items())
    )

"""The Files and Batches endpoints: uploads, batches and results, through failing networks and busy servers."""

from __future__ import annotations

import functools
import io
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import openai
from openai.types import Batch

from pixelbrain.asking.request.client import classify_error, sent_key
from pixelbrain.asking.request.failures import Retry, StopJob, backoff_s, mask_keys

logger = logging.getLogger(__name__)

ENDPOINT = "/v1/chat/completions"
#: A batch carries our id under this name, so that it is found after a crash between its creation and our record.
METADATA_KEY = "pixelbrain"

_UPLOAD_TIMEOUT_S = 600.0  # 200 MB at 3 Mbit/s, and a server that thinks
FIRST_WAIT_S = 1.0  # before a call's second try; doubled from then on
PATIENCE_S = 120.0  # of one call, over all its tries
_T = TypeVar("_T")


class RejectedError(Exception):
    """The server took the file, and refuses the batch."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BatchApi:
    """What we ask of the server about batches; each call is tried again while that can help.

    Every method raises `StopJob` for what waiting does not heal, and after `PATIENCE_S` of tries. The client's own
    retries are turned off.
    """

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client.with_options(max_retries=0)
        self._key = sent_key(client)  # to be masked in messages

    def upload(self, path: Path) -> str:
        """Send a request file from the disk; the server's id of it."""

        def send() -> str:
            with open(path, "rb") as file:
                named = (path.name, file, "application/jsonl")
                return self._client.files.create(file=named, purpose="batch", timeout=_UPLOAD_TIMEOUT_S).id

        try:
            return self._call("uploading a batch's requests", send, expected=(404, 405, 501))
        except openai.APIStatusError as error:
            raise StopJob(
                f"the server has no Batch API at this address (HTTP {error.status_code} for /files): leave --batch "
                "away to ask at once"
            ) from None

    def create(self, file_id: str, our_id: str) -> Batch:
        """Start a batch, exactly one: where the reply is lost, the batch is looked for before another one is made.

        Raises:
            RejectedError: the server refuses it.
        """
        make = functools.partial(
            self._client.batches.create,
            input_file_id=file_id,
            endpoint=ENDPOINT,
            completion_window="24h",
            metadata={METADATA_KEY: our_id},
        )
        try:
            return self._call("starting a batch", make, made=lambda: self.find(our_id), expected=(400, 422))
        except openai.APIStatusError as error:
            raise RejectedError(str(error.code), mask_keys(error.message, self._key)) from None

    def find(self, our_id: str) -> Batch | None:
        """The batch that carries our id, if the server knows one."""

        def look() -> Batch | None:
            batches = self._client.batches.list(limit=100)  # it pages on by itself
            return next((one for one in batches if (one.metadata or {}).get(METADATA_KEY) == our_id), None)

        return self._call("listing the batches", look)

    def retrieve(self, batch_id: str) -> Batch:
        """How far a batch is."""
        try:
            return self._call("asking for a batch", lambda: self._client.batches.retrieve(batch_id), expected=(404,))
        except openai.NotFoundError:
            raise StopJob(
                f"the server does not know {batch_id}: use the key and the server that it was sent with, or remove its "
                "file from OUT/answers/batches to ask (and pay) again"
            ) from None

    def cancel(self, batch_id: str) -> Batch:
        """Ask for a batch's end; one that has ended already stays as it is."""
        cancel = functools.partial(self._client.batches.cancel, batch_id)
        try:
            return self._call("cancelling a batch", cancel, expected=(400, 404, 409))
        except openai.APIStatusError:
            return self.retrieve(batch_id)  # it ended meanwhile

    def lines(self, file_id: str) -> Iterable[bytes]:
        """A result file's lines, all in memory: of 50,000 requests, with short answers, some 50 MB."""
        fetch = functools.partial(self._client.files.content, file_id)
        try:
            found = self._call("fetching a batch's answers", fetch, expected=(404,)).content
        except openai.NotFoundError:
            raise StopJob(
                f"the server has {file_id}, a batch's answers, no more: remove the batch's file from "
                "OUT/answers/batches to ask (and pay) again"
            ) from None
        return io.BytesIO(found)  # not splitlines: it also splits at what JSON may hold as it is

    def delete_file(self, file_id: str) -> None:
        """Remove a file of ours from the server; where that fails it stays, and costs nothing."""
        try:
            self._client.files.delete(file_id)
        except openai.OpenAIError as error:
            logger.debug("%s stays on the server: %s", file_id, type(error).__name__)

    def _call(
        self,
        what: str,
        call: Callable[[], _T],
        *,
        made: Callable[[], _T | None] | None = None,
        expected: tuple[int, ...] = (),
    ) -> _T:
        """Call, again and again; `expected` statuses are the caller's, `made` finds what a lost reply spoke of."""
        started, tries = time.monotonic(), 0
        while True:
            try:
                return call()
            except openai.OpenAIError as error:
                if isinstance(error, openai.APIStatusError) and error.status_code in expected:
                    raise
                verdict = classify_error(error, key=self._key)
            if isinstance(verdict, StopJob):
                raise verdict
            if not isinstance(verdict, Retry):
                raise StopJob(f"{what} failed: {verdict}; answers so far are kept")
            tries += 1
            own_s = backoff_s(tries, first_s=FIRST_WAIT_S, most_s=60.0)
            wait_s = own_s if verdict.after_s is None else verdict.after_s
            if time.monotonic() + wait_s - started > PATIENCE_S:
                raise StopJob(
                    f"{what} failed for {PATIENCE_S:.0f} s ({verdict}); what was sent goes on without us: "
                    "run the same command again later"
                )
            logger.warning("%s failed (%s); once more in %.1f s", what, verdict, wait_s)
            time.sleep(wait_s)
            if made is not None and (found := made()) is not None:
                return found

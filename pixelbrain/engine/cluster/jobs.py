"""Jobs on a Ray cluster: submit a command through the dashboard, follow its log to its exit code, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pixelbrain.engine.cluster.dashboard import connect
from pixelbrain.errors import EngineError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails


logger = logging.getLogger(__name__)

#: What a stopped job's exit code is for us: Ray keeps none.
EXIT_STOPPED = 130

#: Of a job that is stopped; Ray's own 3 s are not enough to land what is in flight.
STOP_WAIT_S = 60

_EXIT_UNKNOWN = 1
_SILENCE_S = 30.0  # of a log; then the job is asked for, as a connection may be dead without having said so
_AGENT_S = 60.0  # after a head's start, for its agent, which starts jobs
_PAUSE_S = 15.0  # between two tries, at most
_LOST_S = 300.0  # without an answer; a head that restarts takes a minute or two


class Jobs:
    """The jobs of the cluster that has its dashboard at `address`. Raises as `dashboard.connect` does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = connect(address)
        self._shown: dict[str, int] = {}  # characters of each job's log

    def submit(
        self,
        entrypoint: str,
        *,
        working_dir: str | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> str:
        """Submit a shell command, which runs on the head node; returns the job's id.

        Args:
            working_dir: a folder to bring along and to run in; what its .gitignore and .rayignore name stays here.
            job_id: an id of one's own; None: Ray makes one.

        Raises:
            EngineError: the folder is too large, or Ray refuses.
        """
        chosen = dict(runtime_env or {})
        if working_dir is not None:
            chosen["working_dir"] = working_dir
        chosen["env_vars"] = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), **(chosen.get("env_vars") or {})}
        deadline = time.monotonic() + _AGENT_S
        while True:
            try:
                return str(self._client.submit_job(entrypoint=entrypoint, runtime_env=chosen, submission_id=job_id))
            except (RuntimeError, ValueError, TypeError, OSError) as error:  # OSError: requests' own, too
                if re.search("No available agent|head node agent", str(error)) and time.monotonic() < deadline:
                    time.sleep(1)
                    continue
                raise EngineError(f"{self.address} does not take the job: {_last_line(error)}") from error

    def follow(self, job_id: str, write: Callable[[str], None]) -> int:
        """Write a job's log as it grows, until the job has ended; a second call goes on where the first was left.

        A lost connection is made again, for 5 minutes. Returns the exit code of the job's command, 130 if it was
        stopped. `EngineError`: no such job, Ray could not start it, or its cluster is gone.
        """
        import aiohttp
        import requests

        answered, pause_s, told = time.monotonic(), 1.0, False
        while True:
            before = self._shown.get(job_id, 0)
            try:
                self._details(job_id)
                answered = time.monotonic()
                asyncio.run(self._stream(job_id, write))
                details = self._details(job_id)
                if details.status.is_terminal():
                    return _exit_code(job_id, details)
            except (aiohttp.ClientError, requests.RequestException, OSError, RuntimeError) as error:
                logger.info("following %s: %s", job_id, error)
                if time.monotonic() - answered > _LOST_S:
                    raise EngineError(
                        f"{self.address} has not answered for {_LOST_S / 60:.0f} minutes; the job may go on: "
                        f"pixelbrain submit --address {self.address} --follow {job_id}"
                    ) from None
                if self._shown.get(job_id, 0) > before:  # it was there in between
                    pause_s, told = 1.0, False
                if not told:
                    logger.warning("the connection to %s is lost; trying again", self.address)
                told = True
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S)

    def stop(self, job_id: str) -> None:
        """Ask a job to end: it gets SIGTERM, and 60 s to land what is in flight."""
        try:
            self._client.stop_job(job_id)
        except (RuntimeError, OSError) as error:
            raise EngineError(f"the job {job_id} is not stopped: {_last_line(error)}") from None

    def _details(self, job_id: str) -> JobDetails:
        try:
            return self._client.get_job_info(job_id)
        except RuntimeError as error:
            if "404" in str(error):
                raise EngineError(f"{self.address} knows no job {job_id}") from None
            raise

    async def _stream(self, job_id: str, write: Callable[[str], None]) -> None:
        """The log's new text, until the job or the connection ends."""
        chunks = self._client.tail_job_logs(job_id)  # from the log's beginning
        skip = self._shown.get(job_id, 0)
        waiting = asyncio.ensure_future(anext(chunks, None))
        try:
            while True:
                done, _ = await asyncio.wait([waiting], timeout=_SILENCE_S)
                if not done:
                    if self._details(job_id).status.is_terminal():
                        return
                    continue
                if (text := waiting.result()) is None:
                    return
                if new := text[skip:]:
                    self._shown[job_id] = self._shown.get(job_id, 0) + len(new)
                    write(new)
                skip = max(0, skip - len(text))
                waiting = asyncio.ensure_future(anext(chunks, None))
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await chunks.aclose()


def _exit_code(job_id: str, details: JobDetails) -> int:
    """Of the command, as a shell has it. Raises `EngineError` where Ray could not even start it."""
    if details.status == "SUCCEEDED":
        return 0
    if details.status == "STOPPED":
        return EXIT_STOPPED
    if (code := details.driver_exit_code) is None:
        raise EngineError(f"the job {job_id} failed: {_last_line(details.message or 'Ray does not say why')}")
    return 128 - code if code < 0 else code or _EXIT_UNKNOWN


def _last_line(error: object) -> str:
    """Ray answers with whole tracebacks; what went wrong is in their last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    return lines[-1] if lines else type(error).__name__

"""`FakeOpenAI`: the fake as a process of its own, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["FakeOpenAI"]

_ROOT = Path(__file__).parent.parent.parent
_START_S = 30.0
_STOP_S = 10.0


class FakeOpenAI:
    """A running fake; its options are those of `settings.Settings`.

        with FakeOpenAI(rpm=600, window_s=6, latency_ms=50) as fake:
            client = openai.OpenAI(api_key=fake.key, base_url=fake.base_url)
            fake.control(faults=[{"kind": "500", "probability": 0.1, "seed": 1}])

    Attributes:
        base_url: with /v1 at its end.
        key: the one key that it accepts; another one each time.
        pid: the server's process.
    """

    def __init__(self, *, port: int = 0, **settings: Any) -> None:
        self.key = f"sk-fake-{secrets.token_hex(20)}"
        self.base_url = ""
        self.pid = 0
        self._options = [f"--port={port}"]
        for name, value in settings.items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                self._options.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                self._options.append(f"--{flag}={value}")
        self._process: subprocess.Popen[bytes] | None = None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> FakeOpenAI:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait for its address; raises RuntimeError with what it said if it does not come up."""
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fake_openai.server", f"--parent={os.getpid()}", *self._options],
                cwd=_ROOT,
                env={**os.environ, "FAKE_OPENAI_KEY": self.key},
                stdout=subprocess.PIPE,
                stderr=said,
            )
            assert self._process.stdout is not None
            ready, _, _ = select.select([self._process.stdout], [], [], _START_S)
            line = self._process.stdout.readline() if ready else b""
            if not line:
                self.stop()
                said.seek(0)
                raise RuntimeError(f"the fake did not start: {said.read().decode(errors='replace')[-2000:]}")
        address = json.loads(line)
        self.base_url, self.pid = address["base_url"], address["pid"]

    def stop(self) -> None:
        """End the process, and wait until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)
        if process.stdout is not None:
            process.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs in its environment to ask this fake."""
        return {"OPENAI_API_KEY": self.key, "OPENAI_BASE_URL": self.base_url}

    def stats(self) -> dict[str, Any]:
        """The sums; see `ledger.Ledger.stats` and `limits.Limits.peaks`."""
        return self._call("/stats")

    def answered(self) -> dict[str, int]:
        """How often each `image sha256:questions` was answered, and so paid for."""
        return self._call("/answered")

    def requests(self, after: int = 0) -> list[dict[str, Any]]:
        """The log, from entry `after` on; see `ledger.Entry`."""
        return self._call(f"/requests?after={after}")

    def control(self, **settings: Any) -> dict[str, Any]:
        """Change settings, or `faults`; returns all settings. Raises ValueError with what the server objects to."""
        return self._call("/control", settings)

    def reset(self) -> None:
        """Settings of the start, no faults, empty windows, an empty log."""
        self._call("/reset", {})

    def _call(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.base_url.removesuffix("/v1") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.load(error)["error"]["message"]) from None

"""What may pass is tried again, with waits that grow and differ, within limits."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.storage import retry
from pixelbrain.storage.retry import Retries, with_retries
from tests.unit.storage.s3_answers import answered


def test_waits_grow_and_differ(caplog, monkeypatch):
    retries = Retries()
    for failed, most in ((1, 0.5), (2, 1), (3, 2), (6, 16), (7, 20), (50, 20)):
        waits = [retries.wait_s(failed) for _ in range(200)]
        assert 0 <= min(waits) < most / 4 and most / 2 < max(waits) <= most
    calls = []

    def busy() -> None:
        calls.append(1)
        raise answered(503, "SlowDown")

    clock = iter([10.0, 11.0, 12.0, 17.0])  # when it began, and when each try had failed
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=time.sleep))
    with (
        caplog.at_level(logging.DEBUG, "pixelbrain"),
        pytest.raises(ReadError, match=r"^the server asks to slow down; tried 3 times in 7 s$"),
    ):
        with_retries(busy, Retries(tries=3, first_wait_s=0.001), ReadError)
    assert len(calls) == 3
    assert [record.getMessage()[:12] for record in caplog.records] == ["try 1 failed", "try 2 failed"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("100", r"slow down; it asks to wait for 100 s; tried 1 times"),
        ("Fri, 01 Jan 2100 00:00:00 GMT", r"slow down; it asks to wait for [\d,]{12,} s; tried 1 times"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "slow down; tried 3 times"),
        ("soon", "slow down; tried 3 times"),
    ],
)
def test_a_server_that_names_a_time_is_given_it(named, said):
    def busy() -> None:
        raise answered(503, "SlowDown", **{"retry-after": named})

    with pytest.raises(ReadError, match=said):
        with_retries(busy, Retries(tries=3, limit_s=19, first_wait_s=0.001), ReadError)


def test_an_error_of_ours_is_not_caught():
    with pytest.raises(ReadError, match="^too slow$"):
        with_retries(lambda: (_ for _ in ()).throw(ReadError("too slow")), Retries(), SourceError)

"""What may be on its way at once."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pixelbrain.asking.batch.quota import Quota
from pixelbrain.asking.request.failures import StopJob


def batch(tokens: int, model: str = "m") -> Any:
    return SimpleNamespace(input_tokens=tokens, model=model)


def quota(limit: int | None = None, *, enqueued: int = 0) -> Quota:
    """Of a queue with this limit, and so many tokens on their way."""
    active = [batch(enqueued), batch(10**9, "another model")] if enqueued else []
    return Quota(None, 1.0, active, Decimal(0), _learnt=limit)


def test_without_a_limit_everything_fits() -> None:
    assert quota().token_limit is None
    assert quota(enqueued=10**9).fits(10**9, "m", in_file=10**9)


def test_a_batch_fills_the_queue_and_no_more() -> None:
    assert quota(1000, enqueued=100).fits(400, "m", in_file=500)
    assert not quota(1000, enqueued=100).fits(401, "m", in_file=500)


def test_no_batch_is_begun_in_a_small_corner_of_the_queue() -> None:
    assert quota(1000, enqueued=750).fits(10, "m", in_file=0)
    assert not quota(1000, enqueued=751).fits(10, "m", in_file=0)
    assert quota(1000, enqueued=751).fits(10, "m", in_file=100)


def test_one_request_alone_is_always_tried() -> None:
    assert quota(1000).fits(5000, "m", in_file=0)


def test_the_servers_limit_is_learnt() -> None:
    learning = quota()
    learning.refused(batch(5000), 2000)
    assert learning.token_limit == 2000


@pytest.mark.parametrize("said", [None, 2000])
def test_where_others_fill_the_queue_the_wave_is_halved_and_grows_again(said: int | None) -> None:
    shared = quota(enqueued=200)
    shared.refused(batch(1000), said)
    assert shared.token_limit == 500
    shared.active.clear()
    shared.refused(batch(500), said)
    assert shared.token_limit == 250
    shared.accepted()
    assert (shared.token_limit, shared.refusals) == (500, 0)
    for _ in range(2):
        shared.accepted()
    assert shared.token_limit == 2000


def test_refusals_in_a_row_end_the_run() -> None:
    full = quota()
    for _ in range(9):
        full.refused(batch(100), None)
    with pytest.raises(StopJob, match="10 times in a row"):
        full.refused(batch(100), None)

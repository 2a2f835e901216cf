"""What may be on its way at once."""

from __future__ import annotations

import pytest

from pixelbrain.asking.batch.quota import TokenQueue
from pixelbrain.asking.request.failures import StopJob


def test_without_a_limit_everything_fits() -> None:
    queue = TokenQueue()
    assert queue.limit is None
    assert queue.fits(10**9, enqueued=10**9, in_file=10**9)


def test_a_batch_fills_the_queue_and_no_more() -> None:
    queue = TokenQueue(_learnt=1000)
    assert queue.fits(400, enqueued=100, in_file=500)
    assert not queue.fits(401, enqueued=100, in_file=500)


def test_no_batch_is_begun_in_a_small_corner_of_the_queue() -> None:
    queue = TokenQueue(_learnt=1000)
    assert queue.fits(10, enqueued=750, in_file=0)
    assert not queue.fits(10, enqueued=751, in_file=0)
    assert queue.fits(10, enqueued=751, in_file=100)


def test_one_request_alone_is_always_tried() -> None:
    assert TokenQueue(_learnt=1000).fits(5000, enqueued=0, in_file=0)


def test_the_servers_limit_is_learnt() -> None:
    queue = TokenQueue()
    queue.refused(5000, enqueued=0, said=2000)
    assert queue.limit == 2000


@pytest.mark.parametrize("said", [None, 2000])
def test_where_others_fill_the_queue_the_wave_is_halved_and_grows_again(said: int | None) -> None:
    queue = TokenQueue()
    queue.refused(1000, enqueued=200, said=said)
    assert queue.limit == 500
    queue.refused(500, enqueued=0, said=said)
    assert queue.limit == 250
    queue.accepted()
    assert (queue.limit, queue.refusals) == (500, 0)
    for _ in range(2):
        queue.accepted()
    assert queue.limit == 2000


def test_refusals_in_a_row_end_the_run() -> None:
    queue = TokenQueue()
    for _ in range(9):
        queue.refused(100, enqueued=0, said=None)
    with pytest.raises(StopJob, match="10 times in a row"):
        queue.refused(100, enqueued=0, said=None)

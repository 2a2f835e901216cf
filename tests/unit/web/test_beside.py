"""Work beside the pages is told of while it is at work, is not begun twice, and says how it went wrong."""

from __future__ import annotations

import threading

import pytest

from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.web.data.beside import Beside


def test_one_at_a_time_and_how_far_it_is():
    beside, told, go_on = Beside("test", "no test was made"), threading.Event(), threading.Event()

    def work(tell):
        tell(2, 5)
        told.set()
        go_on.wait()

    assert not beside.busy and beside.start(work, "faces")
    told.wait()
    assert beside.busy and (beside.what, beside.done, beside.total) == ("faces", 2, 5)
    assert not beside.start(work, "images") and beside.what == "faces"
    go_on.set()
    beside.join()
    assert not beside.busy and beside.error is None and beside.wrong == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutLockedError("a run is"), "Something else is at work here: a run is. Try again then."),
        (LandingError("the disk is gone"), "the disk is gone."),
        (ValueError("what?"), "no test was made; the terminal says why."),
    ],
)
def test_how_it_went_wrong_is_said_until_it_begins_again(error, told):
    def work(_tell):
        raise error

    beside = Beside("test", "no test was made")
    assert beside.start(work)
    beside.join()
    assert beside.wrong == told
    assert beside.start(lambda _tell: None)
    beside.join()
    assert beside.wrong == ""

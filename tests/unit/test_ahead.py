"""What threads do ahead: in order, so much of it and no more, and left at any time."""

from __future__ import annotations

import itertools
import threading

from pixelbrain.ahead import do_ahead, map_ahead


def test_in_order_and_no_more_than_asked_for():
    begun = itertools.count()
    found = map_ahead(str, iter(lambda: next(begun), None), threads=4, ahead=3)
    assert list(itertools.islice(found, 5)) == ["0", "1", "2", "3", "4"]
    found.close()
    assert next(begun) == 7  # 5 that were wanted, and 2 on their way


def test_who_leaves_half_way_waits_for_no_read():
    """Python's collector ends what an error left, also in a thread that no other one can end beside."""
    begun, release = threading.Event(), threading.Event()

    def read() -> bool:
        begun.set()
        return release.wait()

    fetched = do_ahead([[lambda: True], [read]], threads=1, ahead=2)
    assert next(fetched) == [True] and begun.wait(20)
    closing = threading.Thread(target=fetched.close, daemon=True)
    closing.start()
    closing.join(20)
    waits = closing.is_alive()
    release.set()
    assert not waits

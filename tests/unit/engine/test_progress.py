"""What the workers report, added up."""

from __future__ import annotations

import pytest

from pixelbrain.engine.progress import Progress
from pixelbrain.engine.work.run_notes import Listing, RunNotes
from pixelbrain.engine.work.tally import Tally
from pixelbrain.storage.open import open_storage


@pytest.fixture
def told() -> list[tuple[int, int, int]]:
    return []


@pytest.fixture
def progress(tmp_path, told) -> Progress:
    return Progress(RunNotes(open_storage(tmp_path / "out")), lambda *numbers: told.append(numbers))


def tally(images: int, **failures: int) -> Tally:
    made = Tally()
    made.images, made.failed = images, sum(failures.values())
    made.failures.update(failures)
    made.seconds["size"] = 2.0
    return made


def test_summaries_add_up(progress, told):
    progress.notes.write_listing(Listing(listed=9, pending=8, complete=True))
    progress.begin_pass()
    progress.add(tally(4, DecodeError=1).summary())
    progress.add(tally(3, DecodeError=2, ReadError=1).summary())
    assert told == [(0, 8, 0), (4, 8, 1), (7, 8, 4)]
    assert progress.tally.failures == {"DecodeError": 3, "ReadError": 1} and progress.tally.seconds == {"size": 4.0}
    assert progress.working_seconds >= 2.0  # since the first one's work began


def test_a_second_pass_counts_on(progress, told):
    progress.begin_pass()
    progress.add(tally(4, DecodeError=1).summary())
    progress.notes.write_listing(Listing(pending=6, complete=True))
    progress.begin_pass()
    assert progress.done_in_pass == 0 and told[-1] == (4, 10, 1)
    progress.add(tally(1).summary())
    assert (progress.tally.images, progress.done_in_pass) == (5, 1)


def test_rows_that_landed_and_were_not_reported_count_once(progress):
    progress.begin_pass()
    progress.add(tally(4, DecodeError=1).summary())
    progress.recount(tally(6, DecodeError=1, ReadError=1))
    assert (progress.tally.images, progress.tally.failed) == (6, 2)
    assert progress.tally.failures == {"DecodeError": 1, "ReadError": 1}
    progress.recount(tally(6, DecodeError=1, ReadError=1))
    assert (progress.tally.images, progress.tally.failed) == (6, 2)


def test_a_streak_of_unread_images_ends_with_one_that_is_read(progress):
    progress.add(tally(4, ReadError=4).summary())
    progress.add(tally(3, ReadError=3).summary())
    assert progress.unread_streak == 7
    progress.add(tally(4, ReadError=3).summary())
    assert progress.unread_streak == 0

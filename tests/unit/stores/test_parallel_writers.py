"""Writers in parallel: all get everything in order, none runs far ahead, and an error stops them all."""

from __future__ import annotations

import contextlib
import threading

import pytest

from pixelbrain.stores.parallel_writers import write_in_parallel


def test_each_writer_gets_every_batch_in_order_and_a_batch_is_done_when_all_have_it():
    first, second = [], []
    done = []
    for batch in write_in_parallel(range(20), first.append, second.append):
        done.append(batch)
        assert first[: len(done)] == second[: len(done)] == done
    assert done == first == second == list(range(20))
    assert list(write_in_parallel([], first.append)) == []


def test_writers_work_at_the_same_time_each_in_one_thread():
    meeting = threading.Barrier(2, timeout=30)
    threads: dict[str, set[int]] = {"a": set(), "b": set()}

    def write(name: str) -> None:
        threads[name].add(threading.get_ident())
        meeting.wait()  # would time out if the other one were not at work

    assert len(list(write_in_parallel(range(5), lambda _: write("a"), lambda _: write("b")))) == 5
    assert len(threads["a"]) == len(threads["b"]) == 1 and threads["a"] != threads["b"]


def test_reading_does_not_run_ahead_of_the_slowest_writer():
    read, written = [], []
    ahead = []

    def batches():
        for number in range(30):
            ahead.append(len(read) - len(written))
            read.append(number)
            yield number

    go = threading.Semaphore(0)

    def slow(batch: int) -> None:
        assert go.acquire(timeout=30)
        written.append(batch)

    running = write_in_parallel(batches(), slow, lambda _: None)
    for _ in range(30):
        go.release()
        next(running)
    running.close()
    assert written == list(range(30)) and max(ahead) <= 3


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_an_error_is_raised_and_no_batch_counts_that_some_writer_left_out(failing, at):
    written: list[list[int]] = [[], []]

    def writer(number: int):
        def write(batch: int) -> None:
            if number == failing and batch == at:
                raise ConnectionError("gone")
            written[number].append(batch)

        return write

    done = []
    with pytest.raises(ConnectionError, match="gone"):
        for batch in write_in_parallel(range(10), writer(0), writer(1)):
            done.append(batch)
    assert done == list(range(len(done))) and len(done) <= at
    assert written[failing] == list(range(at))
    assert len(written[1 - failing]) >= len(done)
    assert threading.active_count() == len(threading.enumerate()) and not _writers()


def test_after_an_error_no_writer_begins_another_batch():
    failed, begun = threading.Event(), []

    def fails(_batch: int) -> None:
        failed.set()
        raise ValueError("bad")

    def slow(batch: int) -> None:
        begun.append(batch)
        assert failed.wait(30)

    with pytest.raises(ValueError, match="bad"):
        list(write_in_parallel(range(10), slow, fails))
    assert len(begun) <= 1


def test_an_error_of_who_reads_or_closes_stops_the_writers():
    written: list[int] = []

    def batches():
        yield 1
        raise OSError("cannot read")

    with pytest.raises(OSError, match="cannot read"):
        list(write_in_parallel(batches(), written.append))
    assert not _writers()
    with contextlib.closing(write_in_parallel(range(1000), written.append)) as running:
        assert next(running) == 0
    assert not _writers() and len(written) < 10


def _writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pixelbrain-writer")]

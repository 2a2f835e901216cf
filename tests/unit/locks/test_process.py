"""The first holder in a process takes a lock, the last one frees it, and threads share it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixelbrain.locks.process import Hold, ProcessLock


class Noted(Hold):
    def __init__(self, done: list[str]) -> None:
        self._done = done

    def free(self) -> None:
        self._done.append("free")


class NotedLock(ProcessLock):
    def __init__(self, key: str, done: list[str]) -> None:
        super().__init__(key)
        self._done = done

    def _take(self) -> Hold:
        if "refuse" in self._done:
            raise ValueError("another process has it")
        self._done.append("take")
        return Noted(self._done)


def test_it_is_taken_once_and_freed_by_the_last():
    done: list[str] = []
    first, second = NotedLock("a", done), NotedLock("a", done)
    with first, ThreadPoolExecutor(1) as pool:
        with second, second:
            assert first.holders() == 3 and NotedLock("b", done).holders() == 0
        pool.submit(second.acquire).result()
        first.release()
        assert done == ["take"] and second.holders() == 1
        second.release()
        assert done == ["take", "free"] and first.holders() == 0
    second.release()  # not held any more: nothing happens
    assert done == ["take", "free"]


def test_one_that_is_refused_holds_nothing():
    lock = NotedLock("a", ["refuse"])
    with pytest.raises(ValueError):
        lock.acquire()
    assert lock.holders() == 0 and not lock.lost


def test_a_lost_lock_is_lost_for_all_who_share_it():
    first, second = NotedLock("a", []), NotedLock("a", [])
    with first, second:
        first._shares[0][1].lost = True
        assert first.lost and second.lost
    assert not first.lost


def test_a_forked_child_has_no_share():
    done: list[str] = []
    with NotedLock("a", done) as lock:
        child = os.fork()
        if not child:
            held = lock.holders()
            lock.release()  # not its own
            os._exit(held + len(done) - 1)
        assert os.waitpid(child, 0)[1] == 0 and lock.holders() == 1

"""What is done ahead by threads, while the one who wants it is at work on what came before."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


def do_ahead(
    groups: Iterable[Sequence[Callable[[], T]]], *, threads: int, ahead: int, name: str = "ahead"
) -> Generator[list[T], None, None]:
    """What the jobs of each group return; those of `ahead` groups are done or waiting at a time. `name` is threads'."""
    left = iter(groups)
    waiting: collections.deque[list[Future[T]]] = collections.deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        while True:
            for group in itertools.islice(left, ahead - len(waiting)):
                waiting.append([pool.submit(job) for job in group])
                del group  # its jobs hold files open
            if not waiting:
                return
            yield [future.result() for future in waiting.popleft()]
    finally:
        # Waits for no thread: where this was left half-way by an error, Python's collector ends it, wherever it happens
        # to run, as in a thread that is just starting, which holds what the end of any other one waits for.
        pool.shutdown(wait=False, cancel_futures=True)


def map_ahead(
    do: Callable[[A], T], each: Iterable[A], *, threads: int, ahead: int, name: str = "ahead"
) -> Generator[T, None, None]:
    """What `do` returns of each, in their order, as `do_ahead` has it."""
    jobs = ([functools.partial(do, one)] for one in each)
    with contextlib.closing(do_ahead(jobs, threads=threads, ahead=ahead, name=name)) as done:
        for (one,) in done:
            yield one

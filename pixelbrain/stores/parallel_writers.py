"""Writers in parallel: each gets the same batches in the same order, in a thread of its own; none runs far ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

#: Batches in memory that are not wholly written yet, beside the one that is read. One would leave the quicker writer
#: waiting for the slower; with more than two nothing is gained, as the slower one has work all the time.
_AHEAD = 2

B = TypeVar("B")


def write_in_parallel(batches: Iterable[B], *writers: Callable[[B], object]) -> Generator[B, None, None]:
    """Hand each batch to all writers, and yield it when all have written it, in order.

    When a writer raises, no other begins another batch: the ones that are at work finish theirs, and the error is
    raised here. The same happens when the caller closes this generator, which it must, as by `contextlib.closing`.

    Args:
        batches: read in the caller's thread, while earlier ones are written.
        writers: each is called by one thread only, and must share nothing with the others that threads may not.

    Raises:
        Exception: what a writer raised, of several the one of the earliest batch.
    """
    stopped = threading.Event()

    def write(writer: Callable[[B], object], batch: B) -> None:
        if stopped.is_set():
            return
        try:
            writer(batch)
        except BaseException:
            stopped.set()
            raise

    threads = [ThreadPoolExecutor(1, thread_name_prefix="pixelbrain-writer") for _ in writers]
    under_way: deque[tuple[B, list[Future[None]]]] = deque()

    def finished() -> B:
        batch, futures = under_way.popleft()
        for future in futures:
            future.result()
        if stopped.is_set():  # by an error in a later batch, for which this one may have been left out
            for _batch, later in under_way:
                for future in later:
                    future.result()
        return batch

    try:
        for batch in batches:
            pairs = zip(threads, writers, strict=True)
            under_way.append((batch, [thread.submit(write, writer, batch) for thread, writer in pairs]))
            if len(under_way) > _AHEAD:
                yield finished()
        while under_way:
            yield finished()
    finally:
        stopped.set()
        for thread in threads:
            thread.shutdown()

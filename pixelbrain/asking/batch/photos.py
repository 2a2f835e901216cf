"""Images for the requests of a batch: read and brought to size by a few threads, in their order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pixelbrain.asking.cost.prices import ModelPrice
from pixelbrain.asking.request.photo import SentImage, prepare_photo

__all__ = ["Entry", "Prepared", "prepare_all"]

logger = logging.getLogger(__name__)

#: Reading from S3 waits more than it works; Pillow lets go of the interpreter while it decodes and resizes.
_THREADS = 8
_AHEAD = 16  # images in memory


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image to be asked about."""

    image_id: str
    version: str

    def as_dict(self) -> dict[str, str]:
        """As answer records want it."""
        return {"image_id": self.image_id, "version": self.version}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image that is ready to be sent, or why it is not."""

    entry: Entry
    sent: SentImage | None
    error: Exception | None = None


def prepare_all(
    entries: Iterable[Entry], *, read: Callable[[str], bytes], price: ModelPrice, detail: str
) -> Generator[Prepared, None, None]:
    """Read and prepare images, a few ahead of where they are asked for.

    Args:
        entries: taken in the caller's thread.
        read: the bytes of an image; called by several threads at once.
        price: of the model, which knows the sizes it takes.
        detail: "low" or "high".

    Yields:
        One an entry, in their order. An image that cannot be read or decoded has an error.
    """

    def prepare(entry: Entry) -> Prepared:
        try:
            data = read(entry.image_id)
            sent = prepare_photo(data, price=price, detail=detail, image_id=entry.image_id)
        except Exception as error:  # the row boundary: whatever reading or decoding raises is this image's
            logger.debug("%s cannot be sent", entry.image_id, exc_info=True)
            return Prepared(entry=entry, sent=None, error=error)
        return Prepared(entry=entry, sent=sent)

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batch-prepare")
    ahead: deque[Future[Prepared]] = deque()
    try:
        for entry in entries:
            ahead.append(pool.submit(prepare, entry))
            if len(ahead) >= _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

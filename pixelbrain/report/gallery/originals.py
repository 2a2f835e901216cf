"""Reads originals for the gallery, and gives up on a place that does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from pixelbrain.errors import ReadError, SourceError

logger = logging.getLogger(__name__)

#: So many slow failures in a row, and a bucket is not asked again: with its retries, each of a million photos could
#: wait for a minute.
_PATIENCE = 8


T = TypeVar("T")


class OriginalReader(Generic[T]):
    """image_id to encoded bytes, with or without their version, for threads.

    A failure that took `slow_s` or longer is one of a server that does not answer; an object that is not there is told
    at once, and is not counted.

    Args:
        read: reads one image; raises `ReadError`, or `SourceError` where the place cannot be set up at all.
        slow_s: seconds.
    """

    def __init__(self, read: Callable[[str], T], *, slow_s: float = 1.0) -> None:
        self._read = read
        self._slow_s = slow_s
        self._slow: Counter[str] = Counter()  # failures in a row, by place
        self._lock = threading.Lock()

    def __call__(self, image_id: str) -> T:
        """What is read of an image.

        Raises:
            ReadError: they could not be had.
        """
        place = "/".join(image_id.split("/", 3)[:3])  # s3://bucket; all files on disk are one place
        if self._slow[place] >= _PATIENCE:
            raise ReadError(f"{place} did not answer for other photos")
        started = time.monotonic()
        try:
            data = self._read(image_id)
        except (ReadError, SourceError) as error:
            if time.monotonic() - started >= self._slow_s:
                self._count(place, error)
            raise ReadError(str(error)) from error
        if self._slow[place]:
            with self._lock:
                self._slow[place] = 0
        return data

    def _count(self, place: str, error: Exception) -> None:
        with self._lock:
            self._slow[place] += 1
            if self._slow[place] == _PATIENCE:
                logger.warning("%s does not answer (%s): its other photos are shown by a placeholder", place, error)

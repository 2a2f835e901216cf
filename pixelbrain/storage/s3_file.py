"""An object as a file that can be sought in: its end is fetched at once, and kept; the rest when it is asked for."""

from __future__ import annotations

import collections
import io
import threading
from collections.abc import Callable
from typing import Any

from pixelbrain.storage.s3_errors import AnswerError, error_code
from pixelbrain.storage.s3_uri import version_of

_TAIL_BYTES = 64 * 1024  # fetched on opening: the footer of a part file, and all of a small one
_KEPT_BYTES = 64 * 2**20  # of tails, in this process: those of a thousand files

#: Fetches the bytes of an object, and what S3 says of it; None if it is absent.
Get = Callable[..., "tuple[bytes, dict[str, Any]] | None"]
#: The end of an object, its size, and its ETag.
_Tail = tuple[bytes, int, str]

_guard = threading.Lock()
_kept: collections.OrderedDict[tuple[str, str], _Tail] = collections.OrderedDict()  # the one used last comes last


def open_object(key: str, get: Get, version: str | None = None) -> io.RawIOBase:
    """Open an object for reading. Raises `FileNotFoundError`.

    Args:
        key: names it in this process.
        get: fetches it, given `Range` and `IfMatch`.
        version: that a listing found; its tail is fetched once by this process.
    """
    with _guard:
        tail = _kept.get((key, version)) if version else None
    if tail is None:
        if (found := get(Range=f"bytes=-{_TAIL_BYTES}")) is None:
            raise FileNotFoundError(key)
        data, answer = found
        tail = (data, int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2]), answer["ETag"])
    if version == version_of(tail[2], None, None):  # else it was replaced since it was listed
        with _guard:
            _kept[key, version] = tail
            _kept.move_to_end((key, version))
            while len(_kept) * _TAIL_BYTES > _KEPT_BYTES:  # counted as if all were full
                _kept.popitem(last=False)
    return _RangedObject(get, *tail)


def fetch(get: Callable[..., dict[str, Any]], **which: str) -> tuple[bytes, dict[str, Any]]:
    """What one request for an object answers: its bytes, and what S3 says of it.

    Of what is shorter than the end that is asked for, all comes.
    """
    from botocore.exceptions import ClientError, IncompleteReadError

    try:
        answer = get(**which)
        with answer["Body"] as body:
            return body.read(), answer
    except IncompleteReadError as error:
        raise AnswerError(f"the connection broke off: {error}", transient=True) from None
    except ClientError as error:
        if error_code(error) == "InvalidRange" and "IfMatch" not in which:
            return fetch(get)
        raise


class _RangedObject(io.RawIOBase):
    def __init__(self, get: Get, tail: bytes, size: int, etag: str) -> None:
        self._get = get
        self._tail, self._size, self._etag = tail, size, etag
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def size(self) -> int:
        return self._size

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        start = self._position
        stop = self._size if size is None or size < 0 else min(start + size, self._size)
        if start >= stop:
            return b""
        self._position = stop
        tail_at = self._size - len(self._tail)
        if start >= tail_at:
            return self._tail[start - tail_at : stop - tail_at]
        # If-Match: a file that is replaced meanwhile must not be read as a mixture of both
        if (found := self._get(Range=f"bytes={start}-{stop - 1}", IfMatch=self._etag)) is None:
            raise FileNotFoundError
        return found[0]

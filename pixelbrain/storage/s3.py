"""OUT under a prefix in S3: a file is one object, written by one PUT, and read in ranges.

Through boto3, as the sources are, and not pyarrow's own S3 file system: the same credentials, retries and errors, an
exclusive PUT (`If-None-Match`), and servers that are not Amazon's (pyarrow 26 cannot write to rclone's).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain.errors import LandingError, SourceError
from pixelbrain.storage.base import FileGoneError, Storage, cache_folder, write_parquet
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import normal_endpoint, s3_client
from pixelbrain.storage.s3_errors import AnswerError, s3_errors
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri

__all__ = ["S3Storage"]

T = TypeVar("T")

_ABSENT = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412")
_DENIED = ("AccessDenied", "AllAccessDisabled", "403")
_TAIL_BYTES = 64 * 1024  # fetched on opening: the footer of a part file, and all of a small one

_READ = Retries()
#: Of what is to be landed: it was paid for with the models' time.
_WRITE = Retries(tries=12, limit_s=600)


class S3Storage(Storage):
    """A prefix in a bucket, which must exist."""

    is_local = False

    def __init__(self, uri: str, endpoint: str | None = None) -> None:
        try:
            self._bucket, prefix = split_s3_uri(uri)
            self._endpoint = normal_endpoint(endpoint)
        except SourceError as error:
            raise LandingError(str(error)) from None
        self._prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        self.uri = f"{S3_SCHEME}{self._bucket}/{self._prefix}".rstrip("/")
        self.local = cache_folder(self.uri, self._endpoint)

    def __repr__(self) -> str:
        return f"S3Place({self.uri!r})"

    # --- listing -------------------------------------------------------------------------------------------------

    def names(self, folder: str) -> list[str]:
        return sorted(key for keys, _ in self._pages(folder) for key in keys)

    def folders(self, folder: str) -> list[str]:
        return sorted(name for _, names in self._pages(folder) for name in names)

    def _pages(self, folder: str) -> list[tuple[list[str], list[str]]]:
        """Of each page of a listing, the files and the folders."""
        below = self._prefix + (f"{folder}/" if folder else "")
        pages: list[tuple[list[str], list[str]]] = []
        position: dict[str, str] = {}
        while True:
            page = self._ask(
                "list",
                folder,
                lambda where=position: self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=below, Delimiter="/", **where
                ),
            )
            keys = [item["Key"][len(below) :] for item in page.get("Contents", ()) if item["Key"] != below]
            pages.append((keys, [item["Prefix"][len(below) : -1] for item in page.get("CommonPrefixes", ())]))
            if not page.get("IsTruncated"):
                return pages
            position = {"ContinuationToken": page["NextContinuationToken"]}

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes | None:
        found = self._get(name)
        return None if found is None else found[0]

    def _open_parquet(self, name: str) -> pq.ParquetFile:
        return pq.ParquetFile(_RangedObject(self, name), pre_buffer=True, page_checksum_verification=True)

    def _get(self, name: str, **which: str) -> tuple[bytes, dict[str, Any]] | None:
        """Bytes of an object, and what S3 says of it; None if it is absent.

        Raises:
            FileGoneError: it is not the object any more that `IfMatch` asks for.
        """

        def fetch() -> tuple[bytes, dict[str, Any]] | None:
            from botocore.exceptions import ClientError, IncompleteReadError

            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name, **which)
                with answer["Body"] as body:
                    return body.read(), answer
            except IncompleteReadError as error:
                raise AnswerError(f"the connection broke off: {error}", transient=True) from None
            except ClientError as error:
                code = _code(error)
                if code in _ABSENT:
                    return None
                if code in _CHANGED:
                    raise FileGoneError(f"{self.uri}/{name} was replaced while it was read") from None
                if code == "InvalidRange" and which.pop("Range", None):  # shorter than the tail that was asked for
                    return fetch()
                raise

        return self._ask("read", name, fetch)

    # --- writing -------------------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        self._ask("write", name, lambda: self._put(name, data), _WRITE)

    def write_table(self, name: str, table: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
        buffer = io.BytesIO()
        write_parquet(buffer, table, metadata)
        self.write(name, buffer.getvalue())

    def delete(self, name: str) -> None:
        self._ask("remove", name, lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name))

    def move(self, name: str, to: str) -> None:
        source = {"Bucket": self._bucket, "Key": self._prefix + name}

        def copy() -> bool:
            from botocore.exceptions import ClientError

            try:
                self._client.copy_object(Bucket=self._bucket, Key=self._prefix + to, CopySource=source)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return False
                raise
            return True

        if not self._ask("move", name, copy, _WRITE):
            raise FileGoneError(f"{self.uri}/{name} is not there any more")
        self.delete(name)

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data, **condition)

    # --- asking --------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> Any:
        try:
            return s3_client(self._endpoint)
        except SourceError as error:
            raise LandingError(str(error)) from None

    def _ask(self, verb: str, name: str, request: Callable[[], T], retries: Retries = _READ) -> T:
        """What a request answers, in the end; a `LandingError` that says what could not be done if it does not."""
        what = f"cannot {verb} {self.uri}/{name}"

        def act() -> T:
            try:
                return request()
            except s3_errors() as error:
                if verb not in ("list", "read") and _code(error) in _DENIED:
                    rights = "s3:PutObject, s3:DeleteObject"
                    raise LandingError(f"{what}: access denied: the credentials need {rights} there") from None
                raise

        return with_retries(act, retries, lambda explained: LandingError(f"{what}: {explained}"))


class _RangedObject(io.RawIOBase):
    """An object as a file that can be sought in; its end is fetched at once, the rest when it is asked for."""

    def __init__(self, storage: S3Storage, name: str) -> None:
        found = storage._get(name, Range=f"bytes=-{_TAIL_BYTES}")
        if found is None:
            raise FileNotFoundError(name)
        self._storage, self._name = storage, name
        self._tail, answer = found
        self._size = int(answer.get("ContentRange", f"/{len(self._tail)}").rpartition("/")[2])
        self._etag = answer["ETag"]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def size(self) -> int:
        return self._size

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
        found = self._storage._get(self._name, Range=f"bytes={start}-{stop - 1}", IfMatch=self._etag)
        if found is None:
            raise FileGoneError(f"{self._storage.uri}/{self._name} was removed while it was read")
        return found[0]


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))

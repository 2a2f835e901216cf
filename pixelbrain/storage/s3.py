"""OUT under a prefix in S3: a file is one object, written by one PUT, and read in ranges.

Through boto3, as the sources are, and not pyarrow's own S3 file system: the same credentials, retries and errors, and
servers that are not Amazon's (pyarrow 26 cannot write to rclone's).
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq

from pixelbrain.errors import LandingError, SourceError
from pixelbrain.machine import cache_folder
from pixelbrain.storage.base import FileGoneError, Storage
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import normal_endpoint, s3_client, s3_filesystem
from pixelbrain.storage.s3_errors import error_code, s3_errors
from pixelbrain.storage.s3_file import fetch, open_object
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri, version_of

_ABSENT = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412")
_DENIED = ("AccessDenied", "AllAccessDisabled", "403")
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
        self.local = _cache_folder(self.uri, self._endpoint)

    def versions(self, folder: str) -> dict[str, str]:
        below, pages = self._pages(folder)
        found = {
            item["Key"][len(below) :]: version_of(item.get("ETag"), item.get("LastModified"), item.get("Size"))
            for page in pages
            for item in page.get("Contents", ())
            if item["Key"] != below
        }
        return dict(sorted(found.items()))

    def folders(self, folder: str) -> list[str]:
        below, pages = self._pages(folder)
        return sorted(item["Prefix"][len(below) : -1] for page in pages for item in page.get("CommonPrefixes", ()))

    def _pages(self, folder: str) -> tuple[str, list[dict[str, Any]]]:
        """The prefix of a folder, and the pages of its listing."""
        below = self._prefix + (f"{folder}/" if folder else "")
        where = {"Bucket": self._bucket, "Prefix": below, "Delimiter": "/"}
        pages: list[dict[str, Any]] = []
        while True:
            pages.append(self._ask("list", folder, lambda: self._client.list_objects_v2(**where)))
            if not pages[-1].get("IsTruncated"):
                return below, pages
            where["ContinuationToken"] = pages[-1]["NextContinuationToken"]

    def read(self, name: str) -> bytes | None:
        found = self._get(name)
        return None if found is None else found[0]

    def parquet_file(self, name: str, version: str | None = None) -> pq.ParquetFile:
        file = open_object(str(self.local / name), functools.partial(self._get, name), version)
        return pq.ParquetFile(file, pre_buffer=True, page_checksum_verification=True)

    def arrow(self, folder: str) -> tuple[Any, str]:
        try:
            return s3_filesystem(self._endpoint), f"{self._bucket}/{self._prefix}{folder}"
        except SourceError as error:
            raise LandingError(str(error)) from None

    def _get(self, name: str, **which: str) -> tuple[bytes, dict[str, Any]] | None:
        """Bytes of an object, and what S3 says of it; None if it is absent.

        Raises `FileGoneError` where it is not the one any more that `IfMatch` asks for.
        """

        def attempt() -> tuple[bytes, dict[str, Any]]:
            from botocore.exceptions import ClientError

            try:
                return fetch(functools.partial(self._client.get_object, **self._where(name)), **which)
            except ClientError as error:
                if error_code(error) in _CHANGED:
                    raise FileGoneError(f"{self.uri}/{name} was replaced while it was read") from None
                raise

        return self._ask("read", name, attempt)

    def write_with(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        buffer = io.BytesIO()
        fill(buffer)
        data = buffer.getvalue()
        self._ask("write", name, lambda: self._client.put_object(**self._where(name), Body=data), _WRITE)

    def create(self, name: str, data: bytes) -> bool:
        def put() -> Any:
            from botocore.exceptions import ClientError

            try:
                return self._client.put_object(**self._where(name), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) not in (*_CHANGED, "ConditionalRequestConflict", "409"):
                    raise
                return None

        # refused, it may be our own of a try whose answer was lost
        return self._ask("write", name, put, _WRITE) is not None or self.read(name) == data

    def delete(self, name: str) -> None:
        self._ask("remove", name, lambda: self._client.delete_object(**self._where(name)))

    def move(self, name: str, to: str) -> None:
        source, target = self._where(name), self._where(to)
        if self._ask("move", name, lambda: self._client.copy_object(**target, CopySource=source), _WRITE) is None:
            raise FileGoneError(f"{self.uri}/{name} is not there any more")
        self.delete(name)

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    @property
    def _client(self) -> Any:
        try:
            return s3_client(self._endpoint)
        except SourceError as error:
            raise LandingError(str(error)) from None

    def _ask(self, verb: str, name: str, request: Callable[[], Any], retries: Retries = _READ) -> Any:
        """What a request answers, in the end; None where what is to be read or moved is absent.

        A `LandingError` says what could not be done if it does not answer.
        """
        what = f"cannot {verb} {self.uri}/{name}"

        def act() -> Any:
            try:
                return request()
            except s3_errors() as error:
                if verb in ("read", "move") and error_code(error) in _ABSENT:
                    return None
                if verb not in ("list", "read") and error_code(error) in _DENIED:
                    rights = "s3:PutObject, s3:DeleteObject"
                    raise LandingError(f"{what}: access denied: the credentials need {rights} there") from None
                raise

        return with_retries(act, retries, lambda explained: LandingError(f"{what}: {explained}"))


def _cache_folder(uri: str, endpoint: str | None) -> Path:
    """The folder on this machine's disk that belongs to an OUT in S3; not made yet."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", uri.removeprefix(S3_SCHEME)).strip("-")[:60]
    digest = hashlib.sha256(f"{endpoint or ''} {uri}".encode()).hexdigest()[:12]
    return cache_folder() / "pixelbrain" / "out" / f"{slug}-{digest}"

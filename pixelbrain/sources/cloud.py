"""Images in Google Cloud Storage and Azure Blob Storage: gs://bucket/prefix and az://container/prefix, by obstore."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources.base import (
    ImageBytes,
    ManifestRow,
    OtherVersionError,
    Part,
    check_image_size,
    manifest_tables,
    one_line,
)
from pixelbrain.sources.bucket import BucketSource
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_errors import NO_BUCKET, AnswerError
from pixelbrain.storage.s3_uri import version_of

CLOUD_SCHEMES = ("gs://", "az://")

_URI = re.compile(r"(gs|az)://([^/@?#]+)(?:/(.*))?", re.DOTALL)
#: Where credentials come from, and of which kind a bucket is there.
_KEYS = {
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a service account's file (or `gcloud auth application-default login`)"
    ", or, of a public bucket, GOOGLE_SKIP_SIGNATURE=true",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN (a connection "
    "string is not read), or, of a public container, AZURE_SKIP_SIGNATURE=true",
}
_BUCKET = {"gs": NO_BUCKET, "az": "no such container"}
#: What obstore says at length, what that means, and whether `_KEYS` are the way out.
_CAUSES = (
    (r"account must be specified", "no storage account is named", True),
    (r"token request.*/(?:computemetadata|metadata)/", "no credentials found", True),
    (r"token request", "the credentials are refused", True),
    (r"\b401\b|unauthenticated|valid authentication", "the credentials are refused (401)", True),
    (r"\b403\b|necessary privileges", "not permitted (403): the account may not read it, or its key is wrong", True),
    (r"service account file|credential|access key", "the credentials cannot be read{detail}", True),
    (r"(?:performing list|bucket|container).*\b404\b", "{bucket}", False),
    (r"error sending request|connection", "no connection to {host}", False),
)
_RETRIES = Retries(tries=3)  # of bodies that break off: obstore tries requests again by itself


class CloudSource(BucketSource):
    """The images under `gs://bucket/prefix` or `az://container/prefix`; `which` of them as `BucketSource` has it."""

    def __init__(self, uri: str, **which: Any) -> None:
        self._bucket, prefix = split_cloud_uri(uri)
        where = "Google Cloud Storage" if uri.startswith("gs:") else "Azure Blob Storage"
        super().__init__(uri, self._bucket, prefix.strip("/"), where, **which)

    def list_images(self) -> Iterator[pa.Table]:
        """Images as the server lists them; the first is asked for at once, so that what cannot be listed is known."""
        rows = self._rows()
        first = next(rows, None)
        return manifest_tables(rows if first is None else itertools.chain([first], rows))

    def _rows(self) -> Iterator[ManifestRow]:
        for found in self._objects():
            key, size = found["path"], found["size"]
            # its paths end in no slash: an empty one that is called like no image marks a folder
            key = key if size or self._kind(key) else f"{key}/"
            if row := self._row(key, version_of(found["e_tag"], found["last_modified"], size), size):
                yield row

    def _objects(self) -> Iterator[dict[str, Any]]:
        obstore = _obstore(SourceError)
        try:
            store = _store(self._bucket)
            if self.prefix and (self._glob is None or self._glob.matches("")):
                with contextlib.suppress(FileNotFoundError):  # a prefix is a folder there, and no object of this name
                    yield obstore.head(store, self.prefix)
            for page in obstore.list(store, self.prefix or None, chunk_size=1000):
                yield from page
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            explained = _explain(error, self.uri)
            kind = SourceGoneError if explained in _BUCKET.values() else SourceError
            raise kind(f"cannot list {one_line(self.uri)}: {explained}") from None


def split_cloud_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket` and the key. Raises `SourceError`."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise SourceError("no bucket in it: write gs://bucket/prefix, or az://container/prefix")
    return f"{found[1]}://{found[2]}", found[3] or ""


def read_cloud(uri: str, part: Part | None = None, version: str = "") -> ImageBytes:
    """The bytes of an object, or a part of an object of this version; and the version that they are of.

    Raises as `read_s3` does.
    """
    if part is not None and not part.size:
        return ImageBytes(b"", version)
    which = None if part is None else (part.offset, part.offset + part.size)
    data, now, _size = _get(uri, which, wanted=version if part is not None else None)
    if part is not None and len(data) != part.size:
        raise ReadError(f"cut off: only {len(data):,} of {part.size:,} bytes are there")
    return ImageBytes(data, now)


class CloudGet:
    """Fetches ranges of an object, as `storage.s3_file.open_object` asks for them, all of one version."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.version = ""

    def __call__(self, Range: str, IfMatch: str = "") -> tuple[bytes, dict[str, Any]]:
        start, _, end = Range.removeprefix("bytes=").partition("-")
        which = (int(start), int(end) + 1) if start else {"suffix": int(end)}
        try:
            data, self.version, size = _get(self._uri, which, wanted=self.version or None)
        except OtherVersionError:
            raise ReadError("it changes while it is read: run again when nothing writes it any more") from None
        return data, {"ContentRange": f"/{size}", "ETag": self.version}


def gone_from_cloud(uri: str) -> bool:
    """Whether the server says that there is nothing. Raises `ReadError` where it says neither."""
    obstore = _obstore(ReadError)
    try:
        start, key = split_cloud_uri(uri)
        obstore.head(_store(start), key)
    except FileNotFoundError:
        return True
    except (SourceError, obstore.exceptions.BaseError, OSError, ValueError) as error:
        raise ReadError(_explain(error, uri)) from None
    return False


def _get(uri: str, which: Any, *, wanted: str | None) -> tuple[bytes, str, int]:
    """Bytes, the object's version, and its size."""
    obstore = _obstore(ReadError)

    def read() -> tuple[bytes, str, int]:
        try:
            start, key = split_cloud_uri(uri)
            store, range_ = _store(start), which
            if isinstance(which, dict) and start.startswith("az:"):  # which knows no ranges from the end
                size = obstore.head(store, key)["size"]
                range_ = (max(0, size - which["suffix"]), size) if size else None
            answer = obstore.get(store, key, options={} if range_ is None else {"range": range_})
            about = answer.meta
            version = version_of(about["e_tag"], about["last_modified"], about["size"])
            if wanted is not None and version != wanted:
                raise OtherVersionError("changed since it was listed")
            size = answer.range[1] - answer.range[0]
            check_image_size(size)
            return bytes(answer.bytes()), version, about["size"]
        except FileNotFoundError:
            raise ReadError("no such object") from None
        except SourceError as error:
            raise ReadError(str(error)) from None
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            refused = isinstance(error, obstore.exceptions.PermissionDeniedError)
            refused |= isinstance(error, obstore.exceptions.UnauthenticatedError)
            raise AnswerError(_explain(error, uri), transient=not refused) from None

    return with_retries(read, _RETRIES, ReadError)


@functools.lru_cache(64)
def _store(start: str) -> Any:
    """Credentials come the usual ways of obstore: GOOGLE_*, AZURE_* and what runs on Google's and Azure's machines."""
    import obstore.store

    # plain http is for emulators, whose address somebody sets
    return obstore.store.from_url(
        start, client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "60s"}
    )


def _obstore(kind: type[Exception]) -> Any:
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise kind("gs:// and az:// are read by obstore: pip install 'pixelbrain[cloud]'") from None
    return obstore


def forget_stores() -> None:
    """The environment has other credentials now."""
    _store.cache_clear()


def _explain(error: Exception, uri: str) -> str:
    """A line for people, with the way out; else obstore's first, without a URL's query and the signature in it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = re.sub(r"\?\S*", "", lines[0])[:300]
    scheme = uri[:2]
    for pattern, cause, ours in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            host = found[1] if (found := re.search(r"https?://([^/\s]+)", said)) else "the server"
            means = cause.format(detail=f" ({said.rpartition('error: ')[2]})", bucket=_BUCKET[scheme], host=host)
            return f"{means}: {_KEYS[scheme]}" if ours else means
    return said

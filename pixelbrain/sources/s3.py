"""Images in S3, or in any server that speaks its protocol: listed in pages, of which the next waits to be asked for.

Their bytes are read whole, of one version, and within a limit in tries and time.
Credentials come the usual AWS ways (environment, profile, instance role); none is ever logged.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources.base import (
    LISTING_ROWS,
    ImageBytes,
    ManifestRow,
    OtherVersionError,
    Part,
    check_image_size,
    manifest_table,
    one_line,
)
from pixelbrain.sources.bucket import BucketSource
from pixelbrain.sources.results import inside_out
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import forget_s3_clients, s3_client
from pixelbrain.storage.s3_errors import NO_BUCKET, NOT_S3, AnswerError, error_status, explain_s3, s3_errors
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri, version_of

#: A page with a million delete markers in front of it takes long; a read does not.
_PAGE_TIMEOUT_S = 60
_DEFAULT_RETRIES = Retries()

#: Whether a server is there at all is known within this time, whatever hangs: names, connections, the server.
_REACH_S = 20.0
_REACH_RETRIES = Retries(tries=3, limit_s=_REACH_S)

_SILENCE_S = 30.0  # a connection on which nothing comes for so long is dead
_PIECE_BYTES = 1 << 20  # at most; a piece is what has arrived


class S3Source(BucketSource):
    """The images under `s3://bucket/prefix`.

    Args:
        endpoint: another S3 server's URL.
        retries: of each page.
        which: of the objects below the prefix, see `BucketSource`.
    """

    def __init__(
        self, uri: str, *, endpoint: str | None = None, retries: Retries = _DEFAULT_RETRIES, **which: Any
    ) -> None:
        self.bucket, prefix = split_s3_uri(uri)
        super().__init__(uri, f"{S3_SCHEME}{self.bucket}", prefix, "S3", **which)
        self.endpoint = endpoint
        self._retries = retries

    def list_images(self) -> Iterator[pa.Table]:
        """Images in the order of their keys; the first table comes after the first page that holds any.

        The first page is asked for at once, so that what cannot be listed is known before any work: within 20 s if
        nothing answers, else after the retries.
        """
        if self._outs.hold_uri(self.uri):
            raise SourceError(inside_out(self.uri))
        self._reach()
        pages = self._pages()
        return self._tables(itertools.chain([next(pages)], pages))

    def _reach(self) -> None:
        """Raise if nothing answers; any answer will do, the listing says what is wrong better."""
        from botocore.exceptions import ClientError

        forget_s3_clients()
        client = s3_client(self.endpoint)  # here, because it may ask for a password

        def knock() -> None:
            with contextlib.suppress(ClientError):
                client.head_bucket(Bucket=self.bucket)

        _within(_REACH_S, lambda: with_retries(knock, _REACH_RETRIES, self._failure), self._failure)

    def _pages(self) -> Iterator[dict[str, Any]]:
        """The listing's pages. One that cannot be had is an error: a listing that ends early would lose images."""
        client = s3_client(self.endpoint, read_timeout_s=_PAGE_TIMEOUT_S)
        prefix = self.prefix if self._glob is None else split_s3_uri(self._glob.literal)[1]
        position: dict[str, str] = {}
        while True:

            def page(where: dict[str, str] = position) -> dict[str, Any]:
                answer = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **where)
                if "IsTruncated" not in answer:
                    raise AnswerError(NOT_S3, transient=False)
                return answer

            answer = with_retries(page, self._retries, self._failure)
            yield answer
            if not answer["IsTruncated"]:
                return
            token = answer.get("NextContinuationToken")
            if not token or token == position.get("ContinuationToken"):
                raise self._failure("the server says that there is more, and not where: it lists in an old way")
            position = {"ContinuationToken": token}

    def _tables(self, pages: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
        """Small tables first, so that work begins, then of 10,000 rows and more, so that they are few."""
        rows: list[ManifestRow] = []
        wanted = 1
        for page in pages:
            rows += self._rows(page)
            if len(rows) >= wanted:
                yield manifest_table(rows)
                rows, wanted = [], min(LISTING_ROWS, max(1000, 2 * wanted))
        if rows:
            yield manifest_table(rows)

    def _rows(self, page: dict[str, Any]) -> Iterator[ManifestRow]:
        for item in page.get("Contents", ()):
            version = version_of(item.get("ETag"), item.get("LastModified"), item["Size"])
            if row := self._row(item["Key"], version, item["Size"]):
                yield row

    def _failure(self, explained: str) -> SourceError:
        path = urlsplit(self.endpoint or "").path.strip("/")
        hint = f" (--s3-endpoint ends in /{path}: is that the bucket?)" if path and "no such" in explained else ""
        kind = SourceGoneError if NO_BUCKET in explained else SourceError
        return kind(f"cannot list {one_line(self.uri)}: {explained}{hint}")


def _within(seconds: float, action: Callable[[], None], failure: Callable[[str], SourceError]) -> None:
    """Do something that may hang, for so long at most.

    In a thread that is left behind if it does hang: no timeout of boto3's holds for names, nor for all the addresses
    of a name together.
    """
    outcome: futures.Future[None] = futures.Future()

    def act() -> None:
        try:
            action()
            outcome.set_result(None)
        except SourceError as error:
            outcome.set_exception(error)

    threading.Thread(target=act, name="s3-reach", daemon=True).start()
    try:
        outcome.result(timeout=seconds)
    except futures.TimeoutError:  # before Python 3.11, none of the built-in ones
        raise failure(f"nothing answers within {seconds:.0f} s: check --s3-endpoint, and the network") from None


def read_s3(
    uri: str,
    *,
    endpoint: str | None = None,
    retries: Retries = _DEFAULT_RETRIES,
    part: Part | None = None,
    version: str = "",
) -> ImageBytes:
    """The bytes of an s3:// URI, and the version that they are of, which may be newer than the listed one.

    Args:
        part: only this part of the object, which has to be of this version.

    Raises:
        OtherVersionError: a part was wanted, and the object has another version.
        ReadError: gone, not permitted, over `MAX_IMAGE_BYTES`, still failing after the retries, or too slow.
    """
    if part is not None and not part.size:
        return ImageBytes(b"", version)  # no range is empty
    download = _Download(uri, endpoint, retries, part, version)
    return with_retries(download.go_on, retries, ReadError)


def getter(uri: str, endpoint: str | None) -> Callable[..., dict[str, Any]]:
    """Asks for an object, or for what of it is said, such as `Range`, once. Raises `ReadError` of what is none."""
    try:
        bucket, key = split_s3_uri(uri)
        return functools.partial(s3_client(endpoint, read_timeout_s=_SILENCE_S).get_object, Bucket=bucket, Key=key)
    except SourceError as error:
        raise ReadError(str(error)) from None


class _Download:
    """One object on its way here; what has arrived is kept when the connection breaks."""

    def __init__(self, uri: str, endpoint: str | None, retries: Retries, part: Part | None, version: str) -> None:
        self._get = getter(uri, endpoint)
        self._part, self._wanted = part, version
        self._deadline = time.monotonic() + retries.limit_s
        self._limit_s = retries.limit_s
        self._start_anew()

    def _start_anew(self) -> None:
        self._pieces: list[bytes] = []
        self._have = 0
        self._etag: str | None = None
        self._version = ""
        self._size: int | None = None

    def go_on(self) -> ImageBytes:
        """One try: the whole object, or the rest of it. Raises also `s3_errors`."""
        which = self._which()
        try:
            answer = self._get(**which)
        except s3_errors() as error:
            if self._part and not self._have and error_status(error) == 416:
                raise OtherVersionError("it is shorter than it was when it was listed") from None
            if which and error_status(error) in (412, 416):
                self._begin_again()
            raise
        with answer["Body"] as body:
            if not self._continues(answer):
                if "ContentRange" in answer and (self._have or not self._part):
                    self._begin_again()  # the rest of another version: rclone ignores If-Match
                self._begin(answer)
            self._receive(body)
        if self._size is not None and self._have != self._size:
            raise AnswerError(f"only {self._have:,} of {self._size:,} bytes came", transient=True)
        return ImageBytes(b"".join(self._pieces), self._version)

    def _which(self) -> dict[str, str]:
        """What is wanted of the object: nothing said is all of it."""
        start, end = (self._part.offset, self._part.offset + self._part.size - 1) if self._part else (0, "")
        if not self._part and not (self._have and self._etag):
            return {}
        return {"Range": f"bytes={start + self._have}-{end}"} | ({"IfMatch": self._etag} if self._etag else {})

    def _begin(self, answer: dict[str, Any]) -> None:
        """What comes now is the beginning of what is wanted."""
        self._start_anew()
        etag, self._size = answer.get("ETag"), answer.get("ContentLength")
        place = str(answer.get("ContentRange", ""))
        total = int(place.rpartition("/")[2]) if self._part and place else self._size
        self._version = version_of(etag, answer.get("LastModified"), total)
        if self._part:
            if self._version != self._wanted:
                raise OtherVersionError("changed since it was listed")
            if not place.startswith(f"bytes {self._part.offset}-"):
                raise AnswerError("the server sends no parts of objects", transient=False)
            if self._size != self._part.size:
                raise ReadError(f"cut off: only {self._size:,} of {self._part.size:,} bytes are there")
        self._etag = etag
        check_image_size(self._size or 0)

    def _begin_again(self) -> NoReturn:
        """The next try takes the whole object: it is not the one any more of which we have a part."""
        self._start_anew()
        raise AnswerError("it changes while it is read", transient=True)

    def _continues(self, answer: dict[str, Any]) -> bool:
        """Whether this is the rest of what we have. The status does not tell: rclone answers a range by 200."""
        return (
            self._have > 0
            and answer.get("ETag") == self._etag
            and str(answer.get("ContentRange", "")).startswith(
                f"bytes {(self._part or Part(0, 0)).offset + self._have}-"
            )
        )

    def _receive(self, body: Any) -> None:
        while piece := body.read1(_PIECE_BYTES):  # what is there: read() would wait for all of it
            self._pieces.append(piece)
            self._have += len(piece)
            check_image_size(self._have)
            if time.monotonic() > self._deadline:
                size = f"{self._size:,}" if self._size else "unknown"
                raise ReadError(f"too slow: {self._have:,} of {size} bytes came in {self._limit_s:.0f} s")


def presign(image_id: str, *, s3_endpoint: str | None = None) -> str:
    """A URL for an s3:// image that a server without credentials can fetch for an hour. Raises `ReadError`.

    It holds the access key's id and a signature, not the secret, but is as good as one while it is valid: it goes to
    nobody but to who is to fetch the object.
    """
    if not image_id.startswith(S3_SCHEME):
        raise ReadError(f"only s3:// images can be sent as URLs: {image_id[:100]}")
    try:
        bucket, key = split_s3_uri(image_id)
        return s3_client(s3_endpoint).generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=3600
        )
    except SourceError as error:
        raise ReadError(str(error)) from None
    except s3_errors() as error:
        raise ReadError(explain_s3(error)) from None

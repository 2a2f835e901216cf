"""The bytes of an object in S3: whole, of one version, and within a limit in tries and time."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import MAX_IMAGE_BYTES, ImageBytes, OtherVersionError, Part
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import s3_client
from pixelbrain.storage.s3_errors import AnswerError, error_status, explain_s3, s3_errors
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri, version_of

_SILENCE_S = 30.0  # a connection on which nothing comes for so long is dead
_PIECE_BYTES = 1 << 20  # at most; a piece is what has arrived
_DEFAULT_RETRIES = Retries()


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


class _Download:
    """One object on its way here; what has arrived is kept when the connection breaks."""

    def __init__(self, uri: str, endpoint: str | None, retries: Retries, part: Part | None, version: str) -> None:
        try:
            self._bucket, self._key = split_s3_uri(uri)
            self._client = s3_client(endpoint, read_timeout_s=_SILENCE_S)
        except SourceError as error:
            raise ReadError(str(error)) from None
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
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, **which)
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
        self._check_size(self._size or 0)

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
            self._check_size(self._have)
            if time.monotonic() > self._deadline:
                size = f"{self._size:,}" if self._size else "unknown"
                raise ReadError(f"too slow: {self._have:,} of {size} bytes came in {self._limit_s:.0f} s")

    def _check_size(self, size: int) -> None:
        if size > MAX_IMAGE_BYTES:
            raise ReadError(f"{size:,} bytes are no image: more than {MAX_IMAGE_BYTES:,} are not read")


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

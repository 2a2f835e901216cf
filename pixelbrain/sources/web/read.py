"""The bytes behind a URL, whole, within limits in size, tries and time; and its version, without its bytes."""

from __future__ import annotations

import contextlib
import email.utils
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageBytes, check_image_size
from pixelbrain.sources.web.hosts import host_slot
from pixelbrain.sources.web.urls import split_url
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_errors import TRANSIENT_STATUSES, AnswerError
from pixelbrain.storage.s3_uri import version_of

_CONNECT_S, _SILENCE_S = 10.0, 30.0
_PIECE_BYTES = 1 << 16
_MOST_REDIRECTS = 5
_RETRIES = Retries()
_LOOK_RETRIES = Retries(tries=3, limit_s=60.0)
#: Else what is sent may be compressed, and has another ETag.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pixelbrain"}
_GONE = (404, 410)
_NO_HEAD = (405, 501)  # of servers that know no such question
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)

_local = threading.local()


def read_web(url: str, *, retries: Retries = _RETRIES) -> ImageBytes:
    """The bytes behind a URL, and their version: the ETag, or else the time and length. Raises `ReadError`."""
    deadline = time.monotonic() + retries.limit_s
    return with_retries(lambda: _read(url, deadline), retries, ReadError)


def look_web(url: str) -> tuple[str, int | None]:
    """The version of what is behind a URL, and its size in bytes, where the server says it.

    Raises `ReadError`: it does not answer, or not to such a question.
    """

    def look() -> tuple[str, int | None]:
        try:
            with _answer("HEAD", url) as answer:
                return _version(answer)
        except _StatusError as error:
            if error.status not in _NO_HEAD:
                raise
        with _answer("GET", url) as answer:  # of which nothing more is read
            return _version(answer)

    return with_retries(look, _LOOK_RETRIES, ReadError)


def gone_from_web(url: str) -> bool:
    """Whether the server says that there is nothing. Raises `ReadError` where it says neither."""

    def look() -> bool:
        try:
            with _answer("HEAD", url):
                return False
        except _StatusError as error:
            if error.status in _GONE:
                return True
            raise

    return with_retries(look, Retries(tries=1), ReadError)


class _StatusError(AnswerError):
    """An answer that is no image."""

    def __init__(self, status: int, retry_after: str) -> None:
        explained = {401: "not permitted", 403: "not permitted", 404: "no such image", 410: "no such image"}
        said = f"{explained[status]} ({status})" if status in explained else f"the server answers {status}"
        super().__init__(said, transient=status in TRANSIENT_STATUSES)
        self.status = status
        # as boto3 has it, where `with_retries` looks for how long to wait
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"retry-after": retry_after}}}


def _read(url: str, deadline: float) -> ImageBytes:
    pieces: list[bytes] = []
    have = 0
    with _answer("GET", url) as answer:
        version, size = _version(answer)
        check_image_size(size or 0)
        for piece in answer.iter_content(_PIECE_BYTES):
            pieces.append(piece)
            have += len(piece)
            check_image_size(have)
            if time.monotonic() > deadline:
                raise ReadError(f"too slow: {have:,} bytes came in time")
    if _PAGE.match(pieces[0] if pieces else b""):
        raise ReadError("the server sends a page, and no image: does it want a login, or does the URL name a page?")
    if version.endswith("-None"):
        version = f"{version.removesuffix('None')}{have}"
    return ImageBytes(b"".join(pieces), version)


@contextlib.contextmanager
def _answer(method: str, url: str) -> Iterator[Any]:
    """The answer to a request, at the end of all redirects. Raises `AnswerError`."""
    import requests

    try:
        for _redirect in range(_MOST_REDIRECTS + 1):
            host = split_url(url)[0].netloc.rpartition("@")[2].lower()
            with (
                host_slot(host),
                _session().request(
                    method, url, headers=_HEADERS, stream=True, allow_redirects=False, timeout=(_CONNECT_S, _SILENCE_S)
                ) as answer,
            ):
                if not answer.is_redirect:
                    if answer.status_code != 200:
                        raise _StatusError(answer.status_code, answer.headers.get("Retry-After", ""))
                    yield answer
                    return
                url = _redirected(url, answer.headers["Location"])
        raise AnswerError(f"more than {_MOST_REDIRECTS} redirects", transient=False)
    except SourceError as error:
        raise AnswerError(str(error), transient=False) from None
    except requests.exceptions.SSLError as error:
        raise AnswerError(f"{host}: no TLS connection ({_reason(error)})", transient=False) from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        raise AnswerError("no URL that can be asked for", transient=False) from None
    except requests.exceptions.Timeout:
        raise AnswerError(f"{host} does not answer in time", transient=True) from None
    except requests.exceptions.RequestException as error:
        raise AnswerError(f"no connection to {host}, or it broke off ({_reason(error)})", transient=True) from None


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads. One from https leads to https: never to a file, and to nothing that others can read."""
    target = urljoin(url, location)
    scheme, wanted = target.partition(":")[0].lower(), url.partition(":")[0].lower()
    if scheme != "https" and (scheme != "http" or wanted == "https"):
        raise AnswerError(f"a redirect from {wanted} to {scheme[:20]} is not followed", transient=False)
    return target


def _version(answer: Any) -> tuple[str, int | None]:
    """Of an answer: its version and size; "None" stands for a length in it that is not said."""
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() and not answer.headers.get("Content-Encoding") else None
    try:
        modified = email.utils.parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
    except (TypeError, ValueError):
        modified = None
    return version_of(answer.headers.get("ETag"), modified, size), size


def _session() -> Any:
    """Of this thread, whose connections are used again."""
    import requests

    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    return _local.session


def _reason(error: BaseException) -> str:
    """The innermost of an error's reasons: the outer ones repeat the whole URL."""
    inner: Any = error
    while isinstance(deeper := getattr(inner, "reason", None) or next(iter(inner.args), None), Exception):
        inner = deeper
    text = getattr(inner, "strerror", None) or (str(inner) if "://" not in str(inner) else type(inner).__name__)
    return " ".join(text.split())[:200]

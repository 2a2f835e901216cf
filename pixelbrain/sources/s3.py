"""Images in S3, or in any server that speaks its protocol: listed in pages, of which the next waits to be asked for.

Credentials come the usual AWS ways (environment, profile, instance role); none is ever logged.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from pixelbrain.errors import SourceError, SourceGoneError
from pixelbrain.sources.base import LISTING_ROWS, ImageSource, ManifestRow, is_image_name, manifest_table, one_line
from pixelbrain.sources.globs import Glob
from pixelbrain.sources.passed_over import HIDDEN_FILE, IN_RESULTS, is_hidden
from pixelbrain.sources.results import Outs, inside_out, results_of_key
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import forget_s3_clients, s3_client
from pixelbrain.storage.s3_errors import NO_BUCKET, NOT_S3, AnswerError
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri, version_of

#: A page with a million delete markers in front of it takes long; a read does not.
_PAGE_TIMEOUT_S = 60
_DEFAULT_RETRIES = Retries()

#: Whether a server is there at all is known within this time, whatever hangs: names, connections, the server.
_REACH_S = 20.0
_REACH_RETRIES = Retries(tries=3, limit_s=_REACH_S)


class S3Source(ImageSource):
    """Everything under `s3://bucket/prefix` whose name looks like an image's; or one object, whatever its name.

    Args:
        uri: the bucket and the prefix.
        endpoint: another S3 server's URL.
        retries: of each page.
        hidden: list what is hidden below the prefix, or a system's own, too; see `is_hidden`.
        outs: prefixes of results, which are never listed.
        glob: only what it means; `uri` is its base.
        kind: which objects are meant, by the names of their keys.
    """

    def __init__(
        self,
        uri: str,
        *,
        endpoint: str | None = None,
        retries: Retries = _DEFAULT_RETRIES,
        hidden: bool = False,
        outs: Iterable[str] = (),
        glob: Glob | None = None,
        kind: Callable[[str], bool] = is_image_name,
    ) -> None:
        super().__init__()
        self.uri = uri
        self._glob, self._kind = glob, kind
        self.what = f"{'a prefix' if glob is None else glob.what} in S3"
        self._hidden, self._outs = hidden, Outs(outs)
        self._results: str | None = None  # the OUT in which the listing is
        self.bucket, self.prefix = split_s3_uri(uri)
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

    def covers(self, image_id: str) -> bool:
        if not image_id.startswith(f"{S3_SCHEME}{self.bucket}/"):
            return False
        key = image_id.removeprefix(f"{S3_SCHEME}{self.bucket}/")
        named = key == self.prefix or self._kind(key)
        return key.startswith(self.prefix) and named and self._is_below(key)

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
            key, size = item["Key"], item["Size"]
            if not self._is_below(key, size):
                continue
            if why := self._why_not(key):
                self.passed_over.add(why)
            elif key == self.prefix or self._kind(key):
                version = version_of(item.get("ETag"), item.get("LastModified"), size)
                yield f"{S3_SCHEME}{self.bucket}/{key}", version, size
            else:
                self.passed_over.add_file(key.rpartition("/")[2])

    def _is_below(self, key: str, size: int = 1) -> bool:
        """`photos` means the folder photos/, not also photos-old/; an object of just this key is meant by its name.

        An empty object that marks a folder, with or without a slash, is none.
        """
        rest = key[len(self.prefix) :]
        if self._glob is not None and not self._glob.matches(rest):
            return False
        if not rest:
            return self._kind(key) or (size > 0 and bool(key) and not key.endswith("/"))
        below = not self.prefix or self.prefix.endswith("/") or rest.startswith("/")
        return below and not (key.endswith("/") and size == 0)

    def _why_not(self, key: str) -> str | None:
        """Why a key below the prefix is passed over, whatever its name ends in."""
        rest = key[len(self.prefix) :].lstrip("/")
        self._results = results_of_key(rest) or self._results
        in_results = self._results is not None and rest.startswith(self._results)
        if in_results or self._outs.hold_uri(f"{S3_SCHEME}{self.bucket}/{key}"):
            return IN_RESULTS
        return HIDDEN_FILE if not self._hidden and any(map(is_hidden, rest.split("/"))) else None

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

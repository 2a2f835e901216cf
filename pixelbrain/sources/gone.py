"""Which images are certainly not there any more: nothing else counts as gone, such as what may not be asked about."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.archives.names import split_member
from pixelbrain.sources.archives.read import has_member
from pixelbrain.sources.cloud import CLOUD_SCHEMES, gone_from_cloud
from pixelbrain.sources.web.read import gone_from_web
from pixelbrain.sources.web.urls import is_web
from pixelbrain.storage.file_uri import FILE_SCHEME, uri_to_path
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import s3_client
from pixelbrain.storage.s3_errors import error_status, s3_errors
from pixelbrain.storage.s3_uri import S3_SCHEME, split_s3_uri

_THREADS = 32
_RETRIES = Retries(tries=3, limit_s=20.0)


def find_gone(image_ids: Sequence[str], *, s3_endpoint: str | None = None) -> list[bool]:
    """For each image, whether its place answers that it is not there.

    Of a bucket that does not answer, or forbids to look, none is; nothing more is asked of it.
    """
    silent: set[str] = set()

    def gone(image_id: str) -> bool:
        if member := split_member(image_id):
            return gone(member[1]) or _gone_by(lambda _: not has_member(*member, s3_endpoint=s3_endpoint), image_id)
        if image_id.startswith(FILE_SCHEME):
            return _gone_from_disk(image_id)
        if is_web(image_id):
            return _gone_by(gone_from_web, image_id)
        if image_id.startswith(CLOUD_SCHEMES):
            return _gone_by(gone_from_cloud, image_id)
        try:
            bucket, key = split_s3_uri(image_id) if image_id.startswith(S3_SCHEME) else ("", "")
            return bool(key) and bucket not in silent and _gone_from_s3(bucket, key, s3_endpoint)
        except (ReadError, SourceError):
            silent.add(bucket)
            return False

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(gone, image_ids))


def _gone_from_disk(image_id: str) -> bool:
    try:
        os.lstat(uri_to_path(image_id))
    except (OSError, ValueError) as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def _gone_by(ask: Callable[[str], bool], uri: str) -> bool:
    """What is asked, if there is an answer; of an archive that cannot be read to its end, there is none."""
    try:
        return ask(uri)
    except ReadError:
        return False


def _gone_from_s3(bucket: str, key: str, endpoint: str | None) -> bool:
    client = s3_client(endpoint)

    def look() -> bool:
        try:
            client.head_object(Bucket=bucket, Key=key)
        except s3_errors() as error:
            if error_status(error) == 404:
                return True
            raise
        return False

    return with_retries(look, _RETRIES, ReadError)

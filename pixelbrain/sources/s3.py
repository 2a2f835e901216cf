"""Images in S3, or in any server that speaks its protocol: listed in pages, read with retries.

Credentials come the usual AWS ways (environment, profile, instance role); none is ever logged.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageSource, is_image_name, manifest_tables

__all__ = ["S3_SCHEME", "S3Source", "presign_s3", "read_s3", "split_s3_uri"]

S3_SCHEME = "s3://"

#: What S3 and its imitators answer, in words that name the way out.
_EXPLAINED = {
    "AccessDenied": "access denied: the credentials may not list or read it",
    "403": "access denied: the credentials may not list or read it",
    "InvalidAccessKeyId": "the access key is not known there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "NoSuchBucket": "no such bucket",
    "NoSuchKey": "no such object",
    "404": "no such object",
}


class S3Source(ImageSource):
    """Everything under `s3://bucket/prefix` whose name looks like an image's."""

    def __init__(self, uri: str, *, endpoint: str | None = None) -> None:
        self.uri = uri
        self.bucket, self.prefix = split_s3_uri(uri)
        self.endpoint = endpoint

    def list_images(self) -> Iterator[pa.Table]:
        """Images in the order of their keys; a prefix that is one object's whole key lists that object."""
        pages = _client(self.endpoint).get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return manifest_tables(self._rows(pages))

    def _rows(self, pages: Any) -> Iterator[tuple[str, str, int | None]]:
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    if is_image_name(item["Key"]) and self._below_prefix(item["Key"]):
                        yield f"{S3_SCHEME}{self.bucket}/{item['Key']}", item["ETag"].strip('"'), item["Size"]
        except _botocore_errors() as error:
            raise SourceError(f"cannot list {self.uri}: {_explain(error)}") from None

    def _below_prefix(self, key: str) -> bool:
        """`photos` means the folder photos/, not also photos-old/."""
        rest = key[len(self.prefix) :]
        return not self.prefix or self.prefix.endswith("/") or not rest or rest.startswith("/")


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI; the key is taken as it stands, nothing in it is decoded."""
    bucket, _, key = uri.removeprefix(S3_SCHEME).partition("/")
    if not bucket:
        raise SourceError(f"no bucket in {uri!r}: write s3://bucket/prefix")
    return bucket, key


def read_s3(uri: str, *, endpoint: str | None = None) -> bytes:
    """The bytes of an s3:// URI.

    Raises:
        ReadError: gone, not permitted, or still failing after the retries.
    """
    bucket, key = split_s3_uri(uri)
    try:
        return _client(endpoint).get_object(Bucket=bucket, Key=key)["Body"].read()
    except _botocore_errors() as error:
        raise ReadError(_explain(error)) from None


@functools.lru_cache(maxsize=8)
def _client(endpoint: str | None) -> Any:
    """One client an endpoint and process: boto3's clients are safe to share between threads."""
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=64,
        s3={"addressing_style": "path"} if endpoint else None,
    )
    try:
        return boto3.client("s3", endpoint_url=endpoint, config=config)
    except _botocore_errors() as error:
        raise SourceError(f"cannot set up S3: {error}") from None
    except ValueError as error:
        raise SourceError(f"--s3-endpoint: {error}") from None


def _botocore_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    return BotoCoreError, ClientError, HTTPClientError


def _explain(error: Exception) -> str:
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    return _EXPLAINED.get(code) or f"{type(error).__name__}: {error}"


def presign_s3(uri: str, *, endpoint: str | None = None, valid_s: int = 3600) -> str:
    """A URL under which anyone may read the object for `valid_s` seconds; it holds no key, but is as good as one."""
    bucket, key = split_s3_uri(uri)
    try:
        return _client(endpoint).generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=valid_s
        )
    except _botocore_errors() as error:
        raise ReadError(_explain(error)) from None

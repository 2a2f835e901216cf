"""What an s3:// URI names, and what an object's version is."""

from __future__ import annotations

import re
from datetime import datetime

from pixelbrain.errors import SourceError

S3_SCHEME = "s3://"

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI; the key is taken as it stands, nothing in it is decoded. Raises `SourceError`."""
    bucket, _, key = uri.removeprefix(S3_SCHEME).partition("/")
    if "@" in bucket:  # as some tools write it; what stands before it must not get into any message
        raise SourceError("no user or password goes into an s3:// URI: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not bucket:
        raise SourceError(f"no bucket in {uri!r}: write s3://bucket/prefix")
    if bucket.startswith("arn:"):
        raise SourceError(f"{uri[:200]!r} names a bucket by its ARN: give its name, or an access point's alias")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(f"no bucket can be called {bucket[:100]!r}: write s3://bucket/prefix")
    return bucket, key


def version_of(etag: str | None, modified: datetime | None, size: int | None) -> str:
    """An object's version: its ETag; where a server has none, its time and size. A listing and a read agree on it."""
    if etag:
        return etag.removeprefix("W/").strip('"')
    return f"{modified:%Y%m%dT%H%M%SZ}-{size}" if modified else f"unknown-{size}"

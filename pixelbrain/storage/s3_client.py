"""A client of S3: whose credentials it has is known before it is used, and they reach no log."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pixelbrain.errors import SourceError
from pixelbrain.machine import bypass_proxies
from pixelbrain.storage.s3_errors import explain_s3, hide, s3_errors

#: boto3 opens a connection a thread; more than these would be thrown away after each request, with a warning.
_CONNECTIONS = 64

_CONNECT_TIMEOUT_S = 10


class _Shared:
    """What this process has made: a session with its credentials, and clients by endpoint and timeout."""

    lock = threading.Lock()  # making a client is not safe between threads; using it is
    session: Any = None
    clients: ClassVar[dict[tuple[str | None, float], Any]] = {}


def s3_client(endpoint: str | None = None, *, read_timeout_s: float = 30) -> Any:
    """The boto3 client of an endpoint, one a process, which threads may share.

    It sends each request once: who calls it tries again, by `retry.with_retries`, as a body that is cut off, of which
    boto3 knows nothing, is to be under the same limits in tries and time as a request. Raises `SourceError`: no
    credentials, or no such endpoint can be.

    Args:
        endpoint: an S3 server's URL; None is AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or else Amazon's.
        read_timeout_s: how long a connection may be silent.
    """
    key = (normal_endpoint(endpoint), read_timeout_s)
    with _Shared.lock:
        if key not in _Shared.clients:
            _Shared.clients[key] = _make_client(*key)
        return _Shared.clients[key]


def s3_filesystem(endpoint: str | None = None) -> Any:
    """The same server as pyarrow reads it, with the same credentials, as they are now: a `pyarrow.fs.S3FileSystem`.

    Raises as `s3_client` does.
    """
    import pyarrow.fs

    region = s3_client(endpoint).meta.region_name
    known = _Shared.session.get_credentials().get_frozen_credentials()
    where = urlsplit(normal_endpoint(endpoint) or "")
    server = {"scheme": where.scheme, "endpoint_override": where.netloc + where.path} if where.netloc else {}
    return pyarrow.fs.S3FileSystem(
        access_key=known.access_key,
        secret_key=known.secret_key,
        session_token=known.token,
        region=region,
        request_timeout=30,
        **server,
    )


def forget_s3_clients() -> None:
    """Take the credentials anew from where they are found, as after a new login in a notebook."""
    with _Shared.lock:
        _Shared.session = None
        _Shared.clients.clear()


def _make_client(endpoint: str | None, read_timeout_s: float) -> Any:
    from botocore.config import Config

    bypass_proxies()
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        signature_version="s3v4",  # else presigned URLs get the old one, which buckets since 2020 do not take
        s3={"addressing_style": "path"} if endpoint else None,
        # of a range, some servers (rclone) send the checksum of the whole object
        response_checksum_validation="when_required",
    )
    try:
        if _Shared.session is None:
            _Shared.session = _make_session()
        return _Shared.session.client("s3", endpoint_url=endpoint, config=config)
    except s3_errors() as error:
        raise SourceError(f"cannot set up S3: {explain_s3(error)}") from None
    except ValueError as error:
        raise SourceError(f"cannot set up S3 at {endpoint or 'Amazon'}: {error}") from None


def _make_session() -> Any:
    """A session of our own, whose credentials are there; whoever else uses boto3 in this process is left alone."""
    import boto3
    from botocore.exceptions import NoCredentialsError

    # at DEBUG these write every request's signature, key id and session token; at INFO and above, nothing at all
    for name in ("botocore.auth", "botocore.endpoint", "botocore.parsers"):
        if (logger := logging.getLogger(name)).level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    session = boto3.session.Session()
    if (credentials := session.get_credentials()) is None:
        raise NoCredentialsError
    # a profile may ask for a second factor here, which it could not in a thread with a limit in time
    hide(*credentials.get_frozen_credentials())
    return session


def normal_endpoint(endpoint: str | None) -> str | None:
    """An endpoint's URL, given or of the environment, without what it does not need; None is Amazon's.

    Raises `SourceError`.
    """
    # boto3 knows these variables, too, but would ask for the bucket as a host: http://photos.localhost:9000
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return None
    example = "write it as http://localhost:9000 or https://s3.example.com"
    try:
        parts = urlsplit(endpoint.strip())
        port_fits = parts.port != 0
    except ValueError:  # a port that is no number
        port_fits = False
    if not port_fits or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceError(f"--s3-endpoint is not a server's URL: {example}")
    if "@" in parts.netloc:
        raise SourceError(
            "--s3-endpoint holds a user or a password: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead, and "
            + example
        )
    if parts.query or parts.fragment:
        raise SourceError(f"--s3-endpoint has a query or a fragment: {example}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

"""Whatever keeps a source in S3 from being listed is said in one line, with the way out, before any work starts."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_bytes, s3
from pixelbrain.sources.s3 import presign
from pixelbrain.storage.s3_client import forget_s3_clients
from tests.integration.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    assert_no_secret,
    aws_environment,
    faulty_proxy,
    rclone_server,
)

RIGHT = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "photos").mkdir()
    (folder / "photos" / "a.jpg").write_bytes(b"a")
    with rclone_server(folder) as url:
        yield url


@pytest.fixture
def signed(s3: Any) -> Iterator[pytest.MonkeyPatch]:
    """After `s3`, which sets other credentials when it starts."""
    with aws_environment(**RIGHT) as patch:
        yield patch


def refusal(uri: str, endpoint: str | None) -> str:
    """What listing says, at the call: nothing has been taken from the listing yet."""
    with pytest.raises(SourceError) as caught:
        open_source(uri, s3_endpoint=endpoint).list_images()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    assert_no_secret(text)
    return text


WRONG = {
    "a wrong key": ({"AWS_ACCESS_KEY_ID": "AKIA" + "0" * 16}, "the access key is not known there: check AWS_ACCESS"),
    "a wrong secret": ({"AWS_SECRET_ACCESS_KEY": "x" * 40}, "the secret key is wrong: check AWS_SECRET_ACCESS_KEY"),
    "half of the credentials": ({"AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials found: set AWS_ACCESS_KEY_ID and"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials found: set AWS_"),
    "no such profile": ({"AWS_PROFILE": "holiday"}, r"The config profile \(holiday\) could not be found"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_credentials(signed, server, name):
    values, expected = WRONG[name]
    for variable, value in values.items():
        signed.setenv(variable, value) if value else signed.delenv(variable)
    assert re.search(expected, refusal("s3://photos/", server))
    with pytest.raises(ReadError, match=expected):  # an error about an image, to a worker
        read_bytes("s3://photos/a.jpg", s3_endpoint=server)


def test_credentials_are_taken_anew_by_the_next_listing(signed, server):
    signed.setenv("AWS_SECRET_ACCESS_KEY", "x" * 40)
    assert "the secret key is wrong" in refusal("s3://photos/", server)
    signed.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    assert sum(map(len, open_source("s3://photos/", s3_endpoint=server).list_images())) == 1


def test_no_such_bucket(signed, server):
    assert refusal("s3://holiday/in/", server) == "cannot list s3://holiday/in/: no such bucket"
    with pytest.raises(ReadError, match="^no such bucket$"):
        read_bytes("s3://holiday/a.jpg", s3_endpoint=server)


ANSWERS = {
    "no permission": (403, "AccessDenied", "access denied: the credentials may not list or read it"),
    "an expired token": (400, "ExpiredToken", "the session token has expired: log in again"),
    "another account's token": (400, "InvalidToken", "the session token does not belong to the key"),
    "a clock that is wrong": (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
    "another region": (400, "AuthorizationHeaderMalformed", "another region: set AWS_DEFAULT_REGION"),
    "a key of KMS": (400, "KMS.DisabledException", "encrypted, and the credentials may not use its key"),
    "something new": (400, "NeverHeardOf", "NeverHeardOf: said the proxy"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(signed, server, name):
    status, code, expected = ANSWERS[name]
    with faulty_proxy(server) as proxy:
        proxy.faults.append(Fault(status=status, code=code, times=10))
        assert expected in refusal("s3://photos/", proxy.url)
        with pytest.raises(ReadError, match=expected):
            read_bytes("s3://photos/a.jpg", s3_endpoint=proxy.url)
        assert len(proxy.requests) <= 4  # nothing was tried again


def test_no_permission_by_a_policy(signed, s3):
    """moto enforces IAM, if told: a user without a policy may nothing."""
    import boto3
    from moto.core import DEFAULT_ACCOUNT_ID  # noqa: F401  (moto is set up by its import)
    from moto.core.responses import ActionAuthenticatorMixin

    endpoint = s3.meta.endpoint_url
    s3.create_bucket(Bucket="private")
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")
    iam.create_user(UserName="guest")
    key = iam.create_access_key(UserName="guest")["AccessKey"]
    signed.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    signed.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    signed.setattr(ActionAuthenticatorMixin, "request_count", 0)
    signed.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    assert "access denied: the credentials may not list or read it" in refusal("s3://private/", endpoint)


def test_archived_objects_say_so(signed, s3):
    s3.create_bucket(Bucket="archive")
    s3.put_object(Bucket="archive", Key="old.jpg", Body=b"x", StorageClass="GLACIER")
    with pytest.raises(ReadError, match=r"it is archived \(Glacier\): restore it first"):
        read_bytes("s3://archive/old.jpg", s3_endpoint=s3.meta.endpoint_url)


def test_nobody_answers(signed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        text = refusal("s3://photos/", f"http://127.0.0.1:{port}")
    assert (
        f"nothing answers at http://127.0.0.1:{port}: check --s3-endpoint, and the network (Connection refused)" in text
    )
    assert "nothing answers at http://no-such-host.invalid" in refusal("s3://photos/", "http://no-such-host.invalid")


def test_a_silent_server_is_not_waited_for(signed, monkeypatch):
    monkeypatch.setattr(s3, "_REACH_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "nothing answers within 1 s: check --s3-endpoint" in refusal("s3://photos/", endpoint)
    forget_s3_clients()


class Website(BaseHTTPRequestHandler):
    """Answers everything by a page."""

    status = 200
    page = b"<!DOCTYPE html><html><body><p>It works!<br></body></html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(self.page)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.page)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "page", "expected"),
    [
        (200, Website.page, "its answer is not one of S3: check --s3-endpoint"),
        (200, b"<html><body/></html>", "its answer is not one of S3: check --s3-endpoint"),
        (404, Website.page, "check --s3-endpoint"),
        (405, b"", "check --s3-endpoint"),
    ],
)
def test_a_server_that_is_not_of_s3(signed, status, page, expected):
    handler = type("Handler", (Website,), {"status": status, "page": page})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        assert expected in refusal("s3://photos/", f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_endpoint_with_what_it_does_not_need(signed, server):
    for endpoint in (f"{server}/", f" {server}//"):
        assert sum(map(len, open_source("s3://photos/", s3_endpoint=endpoint).list_images())) == 1
        assert read_bytes("s3://photos/a.jpg", s3_endpoint=endpoint) == b"a"
    assert "--s3-endpoint ends in /photos: is that the bucket?" in refusal("s3://photos/", f"{server}/photos")
    signed.setenv("AWS_ENDPOINT_URL", server.replace("127.0.0.1", "localhost"))  # not http://photos.localhost
    assert read_bytes("s3://photos/a.jpg") == b"a"


def test_presigned_urls_hold_no_secret_key(signed, server):
    url = presign("s3://photos/a.jpg", s3_endpoint=server)
    assert_no_secret(url, secrets=(SECRET_KEY,))
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"a"
    with pytest.raises(ReadError, match="only s3:// images"):
        presign(Path("/a.jpg").as_uri())

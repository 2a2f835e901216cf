"""What needs no server: URIs, endpoints, what is tried again and when, and what a listing covers."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    SSLError,
)

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import open_source, read_bytes
from pixelbrain.storage.retry import Retries, with_retries
from pixelbrain.storage.s3_client import normal_endpoint
from pixelbrain.storage.s3_errors import explain_s3, is_transient
from pixelbrain.storage.s3_uri import split_s3_uri, version_of


def answered(status: int, code: str = "", message: str = "", **headers: str) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "GetObject")


def test_a_uri_is_taken_as_it_stands():
    assert split_s3_uri("s3://b/a%2Fb+c d#e?f//g/") == ("b", "a%2Fb+c d#e?f//g/")
    assert split_s3_uri("s3://b") == split_s3_uri("s3://b/") == ("b", "")
    assert split_s3_uri("s3://b//a") == ("b", "/a")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://", "no bucket in 's3://'"),
        ("s3:///a.jpg", "no bucket in"),
        ("s3://key:secret@b/a.jpg", "no user or password goes into an s3:// URI"),
        ("s3://a b/c", "no bucket can be called 'a b'"),
        ("s3://arn:aws:s3:us-east-1:1:accesspoint/x/y", "an access point's alias"),
    ],
)
def test_no_such_uri(uri, expected):
    with pytest.raises(SourceError, match=expected) as caught:
        open_source(uri)
    assert "secret@" not in str(caught.value)
    with pytest.raises(ReadError, match=expected):
        read_bytes(uri)


def test_endpoints():
    assert normal_endpoint(None) is normal_endpoint("") is None
    assert normal_endpoint("http://localhost:9000/") == "http://localhost:9000"
    assert normal_endpoint(" https://S3.example.com/base/path/ ") == "https://S3.example.com/base/path"
    assert normal_endpoint("http://[::1]:9000") == "http://[::1]:9000"
    for wrong in ("localhost:9000", "ftp://h", "http://", "http://h:port", "h", "http://u:secret@h", "http://h/?a=b"):
        with pytest.raises(SourceError, match="write it as http://localhost:9000") as caught:
            normal_endpoint(wrong)
        assert "secret" not in str(caught.value).replace("AWS_SECRET", "")


def test_what_passes_by_itself():
    for status in (408, 429, 500, 502, 503, 504):
        assert is_transient(answered(status)), status
    assert is_transient(answered(400, "RequestTimeout"))
    assert is_transient(ConnectionClosedError(endpoint_url="http://h/b"))
    assert is_transient(EndpointConnectionError(endpoint_url="http://h/b"))
    for error in (answered(400), answered(403), answered(404), answered(501), NoCredentialsError()):
        assert not is_transient(error), error
    certificate = SSLError(endpoint_url="https://h", error="[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    assert not is_transient(certificate)
    assert "no TLS connection, check --s3-endpoint and its certificate" in explain_s3(certificate)


def test_explanations_are_one_line_and_hold_no_key_id():
    odd = answered(400, "Odd", "the key\n AKIAIOSFODNN7EXAMPLE is\tnot known " + "and so on " * 100)
    assert explain_s3(odd).startswith("Odd: the key *** is not known and so on")
    assert len(explain_s3(odd)) == 500
    kms = answered(403, "AccessDenied", "User: u is not authorized to perform: kms:Decrypt on resource: r")
    assert explain_s3(kms) == "it is encrypted, and the credentials may not use its key (kms:Decrypt): AccessDenied"
    elsewhere = answered(301, "PermanentRedirect", "", **{"x-amz-bucket-region": "eu-west-1"})
    assert explain_s3(elsewhere) == "the bucket is in another region: set AWS_DEFAULT_REGION=eu-west-1"
    assert explain_s3(answered(503, "503")) == "the server asks to slow down"


def test_waits_grow_and_differ(caplog):
    retries = Retries()
    for failed, most in ((1, 0.5), (2, 1), (3, 2), (6, 16), (7, 20), (50, 20)):
        waits = [retries.wait_s(failed) for _ in range(200)]
        assert 0 <= min(waits) < most / 4 and most / 2 < max(waits) <= most
    calls = []

    def busy() -> None:
        calls.append(1)
        raise answered(503, "SlowDown")

    with (
        caplog.at_level(logging.DEBUG, "pixelbrain"),
        pytest.raises(ReadError, match=r"^the server asks to slow down; tried 3 times in [0-9]+ s$"),
    ):
        with_retries(busy, Retries(tries=3, first_wait_s=0.001), ReadError)
    assert len(calls) == 3
    assert [record.getMessage()[:12] for record in caplog.records] == ["try 1 failed", "try 2 failed"]


def test_a_server_that_names_a_time_is_given_it():
    calls = []

    def busy() -> None:
        calls.append(1)
        raise answered(503, "SlowDown", **{"retry-after": "100"})  # more than we would wait: the longest wait

    with pytest.raises(ReadError, match="tried 1 times"):
        with_retries(busy, Retries(tries=3, limit_s=19, first_wait_s=0.001), ReadError)
    assert len(calls) == 1


def test_an_error_of_ours_is_not_caught():
    with pytest.raises(ReadError, match="^too slow$"):
        with_retries(lambda: (_ for _ in ()).throw(ReadError("too slow")), Retries(), SourceError)


def test_versions():
    from datetime import datetime, timezone

    assert version_of('"abc-2"', None, 3) == version_of('W/"abc-2"', None, 3) == "abc-2"
    assert version_of(None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), 6) == "20260102T030405Z-6"


@pytest.mark.parametrize(
    ("source", "image_id", "covered"),
    [
        ("s3://b", "s3://b/a.jpg", True),
        ("s3://b", "s3://b/a/b.JPG", True),
        ("s3://b", "s3://b/a.txt", False),
        ("s3://b", "s3://bb/a.jpg", False),
        ("s3://b/a", "s3://b/a/c.jpg", True),
        ("s3://b/a", "s3://b/a/b/c.jpg", True),
        ("s3://b/a", "s3://b/ab/c.jpg", False),
        ("s3://b/a/", "s3://b/a/c.jpg", True),
        ("s3://b/a/", "s3://b/c.jpg", False),
        ("s3://b/a.jpg", "s3://b/a.jpg", True),
        ("s3://b/scan", "s3://b/scan", True),
        ("s3://b/a", "file:///a/c.jpg", False),
        ("/photos", "file:///photos/a.jpg", True),
        ("/photos/", "file:///photos/deep/%C3%BC%20%231.jpg", True),
        ("/photos", "file:///photos-old/a.jpg", False),
        ("/photos", "file:///photos/a.txt", False),
        ("/photos/a.jpg", "file:///photos/a.jpg", True),
        ("/photos/a.jpg", "file:///photos/b.jpg", False),
        ("/", "file:///a.jpg", True),
        ("/photos", "s3://photos/a.jpg", False),
        ("file:///p%20q", "file:///p%20q/a.jpg", True),
        ("file:///p%20q/list.csv", "file:///p%20q/a.jpg", False),
        ("/photos/list.csv", "file:///photos/a.jpg", False),  # a list is of a part of the images
    ],
)
def test_what_a_listing_covers(source, image_id, covered):
    assert open_source(source).covers(image_id) is covered

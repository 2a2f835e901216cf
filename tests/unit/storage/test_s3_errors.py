"""What servers answer is one line without credentials, and what passes by itself is known."""

from __future__ import annotations

from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    SSLError,
)

from pixelbrain.storage.s3_errors import error_code, error_status, explain_s3, is_transient
from tests.unit.storage.s3_answers import answered


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


def test_what_is_no_answer_has_no_code():
    assert (error_code(answered(404, "NoSuchKey")), error_status(answered(404))) == ("NoSuchKey", 404)
    assert (error_code(OSError("reset")), error_status(OSError("reset"))) == ("", 0)

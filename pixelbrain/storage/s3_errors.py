"""What S3 and its imitators answer, in one line that names the way out; and which of it passes by itself."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

_NO_CREDENTIALS = "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_EXPIRED = "the session token has expired: log in again (`aws sso login`), or set a new AWS_SESSION_TOKEN"
_ELSEWHERE = "the bucket is in another region: set AWS_DEFAULT_REGION"
_DENIED = (
    "access denied: the credentials may not list or read it (s3:ListBucket, s3:GetObject), or it is a requester-pays "
    "bucket, which is not supported"
)
_BUSY = "the server asks to slow down"
NO_BUCKET = "no such bucket"
NOT_S3 = "its answer is not one of S3: check --s3-endpoint"

#: By the error's code; by the HTTP status where an answer has no body.
_EXPLAINED = {
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": "the access key is not known there: check AWS_ACCESS_KEY_ID, or AWS_PROFILE",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": "the session token does not belong to the key: set AWS_SESSION_TOKEN anew, or unset it",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it, S3 allows 15 minutes",
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "301": _ELSEWHERE,
    "InvalidObjectState": "it is archived (Glacier): restore it first, with `aws s3api restore-object`",
    "InvalidBucketName": "no such name can be a bucket's",
    "NoSuchBucket": NO_BUCKET,
    "NoSuchKey": "no such object",
    "404": "no such object",
    "SlowDown": _BUSY,
    "503": _BUSY,
}

#: Answers after which the same request may succeed.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 509})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException"})

#: Access key ids as Amazon makes them: some servers' messages repeat them.
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")

_hidden: set[str] = set()


class AnswerError(Exception):
    """An answer that no S3 server gives, or an object that was cut off or became another one while it was read."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


def s3_errors() -> tuple[type[Exception], ...]:
    """What boto3 raises, and what its connections raise while a body is read."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, ResponseParserError, HTTPError, OSError, AnswerError


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    if isinstance(error, AnswerError):
        return error.transient
    if isinstance(error, boto.ClientError):
        if error_code(error) == "500" and _is_web_page(error):  # what boto3 makes of a page that came with status 200
            return False
        return error_status(error) in TRANSIENT_STATUSES or error_code(error) in _TRANSIENT_CODES
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    connecting = (boto.ConnectTimeoutError, boto.EndpointConnectionError, boto.ProxyConnectionError)
    return isinstance(error, (*connecting, boto.HTTPClientError, HTTPError, OSError))


def hide(*secrets: str | None) -> None:
    """Leave these out of every text that `explain_s3` makes in this process.

    What has fewer than 6 letters is no credential of S3's, and would be struck out of every other word.
    """
    _hidden.update(secret for secret in secrets if secret and len(secret) >= 6)


def explain_s3(error: Exception) -> str:
    """What went wrong and what to do, in one line without credentials."""
    text = " ".join(_explain(error).split())
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _KEY_ID.sub("***", text)[:500]


def _explain(error: Exception) -> str:
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        return _explain_answer(error)
    if isinstance(error, OSError) and error.filename:  # of the files with the credentials
        return f"{error.filename}: {error.strerror}"
    server, reason = _server(error), _reason(error)
    explained: list[tuple[Any, str]] = [  # the narrower ones first
        ((boto.NoCredentialsError, boto.PartialCredentialsError), _NO_CREDENTIALS),
        ((boto.TokenRetrievalError, boto.SSOError), f"{_EXPIRED} ({error})"),
        (boto.ParamValidationError, "no such name can be a bucket's, or an object's"),
        (ResponseParserError, NOT_S3),
        (boto.SSLError, f"{server}: no TLS connection, check --s3-endpoint and its certificate ({reason})"),
        (
            (boto.EndpointConnectionError, boto.ProxyConnectionError),
            f"nothing answers at {server}: check --s3-endpoint, and the network ({reason})",
        ),
        ((boto.ConnectTimeoutError, boto.ReadTimeoutError), f"{server} does not answer in time"),
        ((boto.HTTPClientError, HTTPError, OSError), f"the connection to {server} broke off ({reason})"),
    ]
    return next((text for kinds, text in explained if isinstance(error, kinds)), str(error))


def _explain_answer(error: Any) -> str:
    code, said = error_code(error), error.response.get("Error", {}).get("Message") or ""
    if code.startswith("KMS.") or (code == "AccessDenied" and "kms:" in said.lower()):
        return f"it is encrypted, and the credentials may not use its key (kms:Decrypt): {code}"
    if code in ("AuthorizationHeaderMalformed", "PermanentRedirect", "301"):
        region = error.response["Error"].get("Region") or answer_headers(error).get("x-amz-bucket-region")
        return f"{_ELSEWHERE}={region}" if region else f"{_ELSEWHERE}, or check --s3-endpoint"
    if _is_web_page(error) and not is_transient(error):
        return NOT_S3
    if explained := _EXPLAINED.get(code):
        return explained
    if code.isdigit():  # there was no error in the answer, as S3 would have written it
        return f"the server answers {code} ({said}): check --s3-endpoint"
    return f"{code}: {said}" if said and said != code else f"the server answers {code or error_status(error)}"


def _reason(error: Exception) -> str:
    """The innermost of an error's reasons: the outer ones repeat the whole request's URL."""
    inner: Any = getattr(error, "kwargs", {}).get("error", error)
    while isinstance(deeper := getattr(inner, "reason", None) or getattr(inner, "__cause__", None), Exception):
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or type(inner).__name__


def _server(error: Exception) -> str:
    """scheme://host:port of the request that failed; boto3 names its whole URL."""
    parts = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "the server"


def error_code(error: Any) -> str:
    """Of an answer, as S3 calls it: `NoSuchKey`; the HTTP status where it has no body; "" if it is no answer."""
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))


def error_status(error: Any) -> int:
    """The HTTP status of an answer; 0 if it is none."""
    return int((getattr(error, "response", None) or {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_web_page(error: Any) -> bool:
    return answer_headers(error).get("content-type", "").startswith("text/html")


def answer_headers(error: Any) -> dict[str, str]:
    """Of an answer, in lower case; none if it is none."""
    return (getattr(error, "response", None) or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})

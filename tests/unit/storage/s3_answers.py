"""Answers of S3, as boto3 raises them."""

from __future__ import annotations

import botocore.parsers  # noqa: F401  (which takes its time: not while a test looks at the clock)
from botocore.exceptions import ClientError


def answered(status: int, code: str = "", message: str = "", **headers: str) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "GetObject")

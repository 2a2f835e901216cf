"""A download that broke off goes on where it was, of the same object."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pixelbrain.errors import ReadError
from pixelbrain.sources import base, s3
from pixelbrain.sources.s3 import read_s3
from pixelbrain.storage.retry import Retries

RETRIES = Retries(tries=4, first_wait_s=0.001)


class Body(io.BytesIO):
    """A body of which only the beginning comes, on a connection that then breaks."""

    def __init__(self, data: bytes, comes: int) -> None:
        super().__init__(data[:comes])
        self._short = comes < len(data)

    def read1(self, size: int = -1) -> bytes:
        piece = super().read1(size)
        if not piece and self._short:
            raise ConnectionResetError("reset by peer")
        return piece


class Client:
    """A server with one object, of which each answer's body breaks off after so many bytes."""

    def __init__(self, comes: list[int]) -> None:
        self.data, self.etag = b"0123456789", '"one"'
        self.asked: list[dict[str, str]] = []
        self._comes = comes

    def get_object(self, *, Bucket: str, Key: str, **which: str) -> dict[str, Any]:
        assert (Bucket, Key) == ("b", "a.jpg")
        self.asked.append(which)
        if which.get("IfMatch", self.etag) != self.etag:
            raise ClientError({"Error": {"Code": "412"}, "ResponseMetadata": {"HTTPStatusCode": 412}}, "GetObject")
        start = int(which.get("Range", "bytes=0-")[6:-1])
        answer = {"ETag": self.etag, "ContentLength": len(self.data) - start}
        if start:
            answer["ContentRange"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        comes = self._comes.pop(0) if self._comes else len(self.data)
        return answer | {"Body": Body(self.data[start:], comes)}


@pytest.fixture
def serve(monkeypatch):
    """Makes a client whose answers break off as told."""

    def make(*comes: int) -> Client:
        client = Client(list(comes))
        monkeypatch.setattr(s3, "s3_client", lambda *_given, **_more: client)
        return client

    return make


def test_the_rest_is_asked_for_of_the_same_object(serve):
    client = serve(4, 3)
    found = read_s3("s3://b/a.jpg", retries=RETRIES)
    assert (found.data, found.version) == (b"0123456789", "one")
    assert client.asked == [
        {},
        {"Range": "bytes=4-", "IfMatch": '"one"'},
        {"Range": "bytes=7-", "IfMatch": '"one"'},
    ]


def test_an_object_that_was_replaced_meanwhile_is_read_from_its_beginning(serve):
    client = serve(4)
    real = client.get_object

    def replaced_after_the_first(**given: str) -> dict[str, Any]:
        if client.asked:
            client.data, client.etag = b"abcdefgh", '"two"'
        return real(**given)

    client.get_object = replaced_after_the_first
    found = read_s3("s3://b/a.jpg", retries=RETRIES)
    assert (found.data, found.version) == (b"abcdefgh", "two")
    assert [asked.get("IfMatch") for asked in client.asked] == [None, '"one"', None]


def test_the_rest_of_another_object_is_not_joined_where_a_server_ignores_if_match(serve):
    client = serve(4)
    real = client.get_object

    def heedless(*, IfMatch: str = "", **given: str) -> dict[str, Any]:
        if client.asked:
            client.data, client.etag = b"abcdefgh", '"two"'
        return real(**given)

    client.get_object = heedless
    found = read_s3("s3://b/a.jpg", retries=RETRIES)
    assert (found.data, found.version) == (b"abcdefgh", "two") and client.asked[1:] == [{"Range": "bytes=4-"}, {}]


def test_what_is_too_large_is_not_read(serve, monkeypatch):
    monkeypatch.setattr(base, "MAX_IMAGE_BYTES", 5)
    client = serve()
    with pytest.raises(ReadError, match="10 bytes are no image: more than 5"):
        read_s3("s3://b/a.jpg", retries=RETRIES)
    assert len(client.asked) == 1


def test_one_that_keeps_breaking_off_is_given_up(serve):
    serve(1, 1, 1, 1)
    with pytest.raises(ReadError, match="tried 4 times"):
        read_s3("s3://b/a.jpg", retries=RETRIES)

"""An object on its way here: what arrived is kept, and never joined with another version's rest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from pixelbrain.errors import ReadError
from pixelbrain.sources import s3_read
from pixelbrain.sources.s3_read import read_s3
from pixelbrain.storage.retry import Retries

RETRIES = Retries(tries=4, limit_s=30, first_wait_s=0.0)


class Body(io.BytesIO):
    """Breaks after so many bytes."""

    def __init__(self, data: bytes, breaks_after: int | None) -> None:
        super().__init__(data if breaks_after is None else data[:breaks_after])
        self._breaks = breaks_after is not None

    def read1(self, size: int = -1) -> bytes:
        if not (piece := super().read1(size)) and self._breaks:
            raise ConnectionClosedError(endpoint_url="http://s3")
        return piece


class Server:
    """One object; changes it, or breaks the connection, between two requests."""

    def __init__(self, *states: tuple[bytes, int | None], conditional: bool = True) -> None:
        self.states = list(states)
        self.conditional = conditional  # whether it heeds IfMatch
        self.asked: list[dict[str, Any]] = []

    def get_object(self, *, Bucket: str, Key: str, **rest: str) -> dict[str, Any]:
        self.asked.append(rest)
        data, breaks_after = self.states.pop(0)
        etag = f'"{hash(data)}"'
        if self.conditional and rest.get("IfMatch", etag) != etag:
            raise ClientError({"Error": {"Code": "412"}, "ResponseMetadata": {"HTTPStatusCode": 412}}, "GetObject")
        start = int(rest["Range"].removeprefix("bytes=").rstrip("-")) if rest else 0
        answer = {"Body": Body(data[start:], breaks_after), "ETag": etag, "ContentLength": len(data) - start}
        return answer | ({"ContentRange": f"bytes {start}-{len(data) - 1}/{len(data)}"} if rest else {})


@pytest.fixture
def read(monkeypatch):
    def go(server: Server) -> bytes:
        monkeypatch.setattr(s3_read, "s3_client", lambda endpoint, read_timeout_s: server)
        return read_s3("s3://bucket/a.jpg", retries=RETRIES).data

    return go


def test_a_broken_connection_goes_on_where_it_was_with_the_same_version(read):
    server = Server((b"0123456789", 4), (b"0123456789", None))
    assert read(server) == b"0123456789"
    first, rest = server.asked
    assert first == {} and rest == {"Range": "bytes=4-", "IfMatch": f'"{hash(b"0123456789")}"'}


@pytest.mark.parametrize("conditional", [True, False])
def test_an_object_that_changed_in_between_is_read_anew(read, conditional):
    new = b"abcdefghij"
    server = Server((b"0123456789", 4), (new, None), (new, None), conditional=conditional)
    assert read(server) == new
    assert server.asked[-1] == {}


def test_a_body_that_ends_early_is_tried_again(read, monkeypatch):
    server = Server((b"0123456789", None), (b"0123456789", None))
    whole = server.get_object
    monkeypatch.setattr(
        server, "get_object", lambda **given: whole(**given) | ({} if given.get("Range") else {"ContentLength": 12})
    )
    with pytest.raises(ReadError, match="only 10 of 12 bytes came"):
        server.states += [(b"0123456789", None)] * 3
        read(server)


def test_what_is_too_large_is_not_read(read, monkeypatch):
    monkeypatch.setattr(s3_read, "MAX_IMAGE_BYTES", 5)
    server = Server((b"0123456789", None))
    with pytest.raises(ReadError, match="10 bytes are no image: more than 5"):
        read(server)
    assert len(server.asked) == 1

"""An object's tail is fetched once, of each of its versions; the rest in ranges of that version."""

from __future__ import annotations

import io
import os
import re

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from pixelbrain.storage import s3_file
from pixelbrain.storage.s3_errors import AnswerError, is_transient
from pixelbrain.storage.s3_file import fetch, open_object

TAIL = 64 * 1024


class Objects:
    """Answers as S3 does, and notes what was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.etag = data, '"one"'
        self.asked: list[dict[str, str]] = []

    def get(self, **which):
        self.asked.append(which)
        if self.data is None:
            return None
        start, stop = re.fullmatch(r"bytes=(\d*)-(\d+)", which["Range"]).groups()
        found = self.data[int(start) : int(stop) + 1] if start else self.data[-int(stop) :]
        return found, {"ETag": self.etag, "ContentRange": f"bytes x-y/{len(self.data)}"}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    s3_file._kept.clear()


def test_a_small_object_is_one_request_a_process():
    objects = Objects(b"0123456789")
    for _ in range(3):
        file = open_object("key", objects.get, "one")
        assert file.size() == 10 and file.read() == b"0123456789" and file.read(1) == b""
        assert file.seek(-3, os.SEEK_END) == 7 and file.read(2) == b"78" and file.tell() == 9
        assert file.seek(-8, os.SEEK_CUR) == 1 and file.read(1) == b"1"
    assert objects.asked == [{"Range": f"bytes=-{TAIL}"}]


def test_a_large_object_is_read_in_ranges_of_one_version():
    objects = Objects(os.urandom(3 * TAIL))
    file = open_object("key", objects.get, "one")
    file.seek(10)
    assert file.read(20) == objects.data[10:30]
    assert objects.asked[1:] == [{"Range": "bytes=10-29", "IfMatch": '"one"'}]
    assert file.read() == objects.data[30:] and len(objects.asked) == 3
    objects.data = None
    with pytest.raises(FileNotFoundError):
        file.seek(0)
        file.read(1)


def test_another_version_and_one_that_nobody_listed_are_fetched():
    objects = Objects(b"first")
    assert open_object("key", objects.get, "one").read() == b"first"
    objects.data, objects.etag = b"second", '"two"'
    assert open_object("key", objects.get, "two").read() == b"second"
    assert open_object("key", objects.get).read() == open_object("key", objects.get).read() == b"second"
    assert len(objects.asked) == 4
    assert open_object("another", objects.get, "two").read() == b"second" and len(objects.asked) == 5
    objects.data, objects.etag = b"third", '"three"'
    assert open_object("late", objects.get, "two").read() == b"third"  # replaced since it was listed: under no name
    assert open_object("late", objects.get, "two").read() == b"third" and len(objects.asked) == 7


def test_what_is_not_there():
    objects = Objects(b"")
    objects.data = None
    with pytest.raises(FileNotFoundError):
        open_object("key", objects.get, "one")


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(s3_file, "_KEPT_BYTES", 3 * TAIL)
    objects = Objects(b"data")
    for key in ("a", "b", "c", "a", "d"):
        open_object(key, objects.get, "one")
    assert [key for key, _version in s3_file._kept] == ["c", "a", "d"] and len(objects.asked) == 4


def test_a_body_that_breaks_off_may_come_the_next_time():
    class Body(io.BytesIO):
        def read(self, *_size):
            raise IncompleteReadError(actual_bytes=3, expected_bytes=10)

    with pytest.raises(AnswerError, match="broke off") as caught:
        fetch(lambda **_which: {"Body": Body()}, Range="bytes=-10")
    assert is_transient(caught.value)


def test_of_what_is_shorter_than_the_end_that_is_wanted_all_comes():
    def get(**which):
        if "Range" in which:
            raise ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
        return {"Body": io.BytesIO(b"012")}

    assert fetch(get, Range="bytes=-10")[0] == b"012"
    with pytest.raises(ClientError):  # of another object, what is asked for of this one
        fetch(get, Range="bytes=5-7", IfMatch="one")

from collections.abc import Callable

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.report.gallery.originals import OriginalReader


def failing(asked: list[str], error: Exception) -> Callable[[str], bytes]:
    def read(image_id: str) -> bytes:
        asked.append(image_id)
        raise error

    return read


def test_a_bucket_that_does_not_answer_is_asked_eight_times(caplog: pytest.LogCaptureFixture):
    asked: list[str] = []
    reader = OriginalReader(failing(asked, ReadError("timed out")), slow_s=0)
    for n in range(20):
        with pytest.raises(ReadError, match="timed out" if n < 8 else "s3://a did not answer"):
            reader(f"s3://a/{n}.jpg")
    assert len(asked) == 8
    assert caplog.text.count("s3://a does not answer (timed out)") == 1
    with pytest.raises(ReadError, match="timed out"):
        reader("s3://b/0.jpg")


def test_quick_failures_are_each_asked():
    asked: list[str] = []
    reader = OriginalReader(failing(asked, ReadError("no such object")), slow_s=60)
    for n in range(20):
        with pytest.raises(ReadError, match="no such object"):
            reader(f"s3://a/{n}.jpg")
    assert len(asked) == 20


def test_an_answer_starts_the_count_again():
    answers = iter([*[None] * 7, b"bytes", *[None] * 8])

    def read(image_id: str) -> bytes:
        answer = next(answers)
        if answer is None:
            raise ReadError("timed out")
        return answer

    reader = OriginalReader(read, slow_s=0)
    for n in range(16):
        if n == 7:
            assert reader("s3://a/7.jpg") == b"bytes"
            continue
        with pytest.raises(ReadError, match="timed out"):
            reader(f"s3://a/{n}.jpg")


def test_a_place_that_cannot_be_set_up_is_an_image_that_cannot_be_read():
    reader = OriginalReader(failing([], SourceError("no credentials")))
    with pytest.raises(ReadError, match="no credentials"):
        reader("s3://a/0.jpg")

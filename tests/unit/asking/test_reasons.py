"""Why requests failed: what counts as one reason, what is an image's own, and what ends a whole run."""

from __future__ import annotations

from collections import Counter

import pytest

from pixelbrain.asking.answer_records import AskReport
from pixelbrain.asking.reasons import _KINDS, Reasons, about_image, only_reason


def test_what_differs_by_request_is_one_reason_in_the_first_ones_words():
    reasons = Reasons()
    reasons.add("HTTP 429: Request 1 of org-4fa2 (req_8c01ab) (8 tries within 47 s)")
    reasons.add("HTTP 429: Request 23 of org-9fe1 (req_77) (8 tries within 1,104.5 s)")
    more = Reasons()
    more.add("no route to host")
    more.add("no route to host")
    more.add("no route to host")
    reasons += more
    assert reasons.most_common() == [
        ("no route to host", 3),
        ("HTTP 429: Request 1 of org-4fa2 (req_8c01ab) (8 tries within 47 s)", 2),
    ]


def test_a_server_that_words_each_differently_does_not_fill_the_memory():
    reasons = Reasons()
    for number in range(2 * _KINDS):
        reasons.add("x" * number)
    assert len(reasons.words) <= _KINDS + 1 and sum(reasons.counts.values()) == 2 * _KINDS


@pytest.mark.parametrize(
    ("reason", "whose"),
    [
        ("HTTP 400: You uploaded an unsupported image. Please make sure your image is valid.", True),
        ("HTTP 400: Invalid base64 image_url.", True),
        ("HTTP 400: The image is too large: 9000 pixels", True),
        ("HTTP 400: Failed to download image from https://b/1.jpg", True),
        ("HTTP 400: Invalid content type. image_url is only supported by certain models.", False),
        ("HTTP 404: No endpoints found that support image input", False),
        ("HTTP 400: this model does not support images", False),
        (
            "HTTP 500: image input is not supported - hint: you may need to provide the mmproj",
            False,
        ),
        ("HTTP 422: Extra inputs are not permitted: max_completion_tokens", False),
        (
            "HTTP 400: [{'msg': 'Extra inputs', 'input': [{'image_url': {'url': 'data:image/jpeg;base64,/9j='}}]}]",
            False,
        ),
        ("HTTP 403: Country, region, or territory not supported", False),
        ("the connection broke: ConnectError: All connection attempts failed", False),
    ],
)
def test_an_images_own_reasons_are_told_apart(reason: str, whose: bool):
    assert about_image(reason) is whose


def record(status: str, error: str | None = None, key: str | None = "k") -> dict[str, object]:
    return {"status": status, "error": error, "error_type": error and "BadRequest", "key": key}


@pytest.mark.parametrize(
    ("records", "ends"),
    [
        ([record("failed", "HTTP 402: pay 1"), record("failed", "HTTP 402: pay 2")], True),
        ([record("failed", "HTTP 402: pay"), record("failed", "no such file", key=None)], True),  # that was not sent
        ([record("failed", "no such file", key=None)], False),
        ([record("failed", "HTTP 402: pay"), record("ok")], False),
        ([record("failed", "HTTP 402: pay"), record("refused", "no")], False),
        ([record("failed", "HTTP 402: pay"), record("failed", "HTTP 500: oh")], False),
        ([record("failed", "HTTP 400: the image is corrupt")], False),
        ([], False),
    ],
)
def test_a_run_whose_answers_all_failed_for_one_reason_ends_with_it(records: list[dict[str, object]], ends: bool):
    report = AskReport(images=len(records))
    for one in records:
        report.add(one)
    assert (report.only_reason() is not None) is ends


def test_one_request_is_named_as_one():
    reasons = Reasons()
    reasons.add("HTTP 402: pay")
    assert str(only_reason(Counter(failed=1), reasons)).startswith(
        "the request failed, and not for the image's sake: HTTP"
    )

"""The dry run: its sums, its limits, its text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pixelbrain.asking.cost.prices import PRICES_DATE, find_price
from pixelbrain.asking.dry_run import describe, dry_run
from pixelbrain.asking.questions.question import PREBUILT
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.settings import AskSettings

SETTINGS = AskSettings(questions=(PREBUILT["people_detector"],), model="gpt-4.1-mini", detail="low")
PRICE = find_price("gpt-4.1-mini")
SIZES = [(4032, 3024), (800, 600), (3024, 4032), (64, 64)]
ROWS = [(f"file:///photos/{i}.jpg", *SIZES[i % 4]) for i in range(100)]


def test_sums_are_those_of_the_single_requests() -> None:
    found = dry_run(iter(ROWS), SETTINGS, PRICE)
    assert (found.images, found.without_size, len(found.lines)) == (100, 0, 4)
    assert [(line.detail, line.batch) for line in found.lines] == [
        ("low", False),
        ("low", True),
        ("high", False),
        ("high", True),
    ]
    for line in found.lines:
        settings = replace(SETTINGS, detail=line.detail)
        single = [estimate(settings, PRICE, width, height, batch=line.batch) for _id, width, height in ROWS]
        assert line.requests == 100
        assert line.input_tokens == sum(one.input_tokens for one in single)
        assert line.output_tokens_max == sum(one.output_tokens_max for one in single)
        assert line.cost_usd_max == sum(one.cost_usd_max for one in single)
        assert line.cost_usd_expected == sum(one.cost_usd_expected for one in single)
    low, low_batch, high, high_batch = (line.cost_usd_max for line in found.lines)
    assert (low_batch, high_batch) == (low / 2, high / 2)
    assert high > low


def test_images_that_cannot_be_read_are_left_out() -> None:
    found = dry_run([*ROWS, ("broken", None, None), ("empty", 0, 0)], SETTINGS, PRICE)
    assert (found.images, found.without_size) == (102, 2)
    assert found.lines == dry_run(ROWS, SETTINGS, PRICE).lines


def test_minutes_are_those_of_the_tighter_limit() -> None:
    low = dry_run(ROWS, SETTINGS, PRICE).lines[0]
    tokens = low.input_tokens + low.output_tokens_max
    assert low.minutes is None
    assert dry_run(ROWS, SETTINGS, PRICE, rpm=10).lines[0].minutes == pytest.approx(10)
    assert dry_run(ROWS, SETTINGS, PRICE, rpm=10, tpm=tokens / 30).lines[0].minutes == pytest.approx(30)
    assert dry_run(ROWS, SETTINGS, PRICE, rpm=10, tpm=tokens).lines[0].minutes == pytest.approx(10)
    assert dry_run(ROWS, SETTINGS, PRICE, rpm=10).lines[1].minutes is None  # a batch has limits of its own


def test_the_first_request_is_shown_as_it_would_be_sent_without_the_image() -> None:
    found = dry_run(ROWS, SETTINGS, PRICE)
    image = found.first_request["messages"][1]["content"][1]["image_url"]
    assert image == {"url": "data:image/jpeg;base64,<file:///photos/0.jpg in 512 x 384 pixels>", "detail": "low"}
    presigned = dry_run(ROWS, replace(SETTINGS, image_urls=True), PRICE).first_request
    assert presigned["messages"][1]["content"][1]["image_url"]["url"] == "<presigned URL of file:///photos/0.jpg>"


def test_description_is_a_table_and_the_request() -> None:
    lines = describe(dry_run([*ROWS, ("broken", None, None)], SETTINGS, PRICE, rpm=10))
    assert lines[0] == "100 images to ask gpt-4.1-mini about; 1 more cannot be read, and are left out"
    table = lines[2:7]
    assert table[0].split() == ["detail", "requests", "tokens", "in", "tokens", "out", "expected", "at", "most", "time"]
    assert [row.split()[0] for row in table[1:]] == ["low", "low", "high", "high"]
    assert table[1].startswith("low *   at once") and table[1].endswith("10 min")
    assert table[2].endswith("up to 24 h")
    assert PRICES_DATE in lines[8]
    start = next(i for i, line in enumerate(lines) if line == "{")
    assert json.loads("\n".join(lines[start:])) == dry_run(ROWS, SETTINGS, PRICE).first_request


def test_nothing_to_ask_costs_nothing() -> None:
    found = dry_run([], SETTINGS, PRICE, rpm=10)
    assert found.first_request is None
    assert [(line.requests, line.cost_usd_max) for line in found.lines] == [(0, 0)] * 4
    lines = describe(found)
    assert lines[0] == "0 images to ask gpt-4.1-mini about"
    assert "$0.00" in lines[3]


def test_small_sums_are_not_shown_as_nothing() -> None:
    lines = describe(dry_run(ROWS[:1], SETTINGS, PRICE))
    assert lines[0] == "1 image to ask gpt-4.1-mini about"
    assert "$0.000" in lines[3]
    assert "$0.00 " not in "\n".join(lines[3:7])

"""What is said of a stage: in numbers, with the way out, and never more than a few lines."""

from __future__ import annotations

import collections
import dataclasses
from decimal import Decimal
from types import SimpleNamespace

import pytest

from pixelbrain.asking.answer_records import AskReport
from pixelbrain.asking.batch.rounds import BatchReport
from pixelbrain.engine.extract import ExtractReport
from pixelbrain.identity.people import IdentityReport
from pixelbrain.stages.display import Display
from pixelbrain.stages.wording import tell_asked, tell_batches, tell_extracted, tell_identified, tell_loaded
from tests.unit.landed_out import LOADED

EXTRACTED = ExtractReport(
    listed=10, done=4, failed=0, failures={}, moved=0, copies=0, gone=0, stopped=False, seconds=2.4,
    working_seconds=2.0, seconds_by_activity={}, plan=None,
)  # fmt: skip


class Told(Display):
    """Keeps what it is told; warnings with a mark."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def line(self, text):
        self.lines.append(text)

    def warn(self, text):
        self.lines.append(f"! {text.strip()}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "extract   4 images, 6 were there already, 2.0 images/s, 2 s"),
        ({"failed": 1, "listed": 4}, "extract   4 images, 1 failed, 2.0 images/s, 2 s"),
        (
            {"moved": 3, "copies": 1},
            "extract   4 images, 3 moved, 1 copies of others, 6 were there already, 2.0 images/s, 2 s",
        ),
        ({"turned": 2}, "extract   4 images, 2 turned for their faces, 6 were there already, 2.0 images/s, 2 s"),
        ({"stopped": True}, "extract   4 images, 2.0 images/s, 2 s"),  # nobody knows what the rest is
        ({"done": 0}, "extract   0 images, 10 were there already, 2 s"),
    ],
)
def test_an_extract_says_what_was_done_and_what_was_there(changes, said):
    tell_extracted(told := Told(), dataclasses.replace(EXTRACTED, **changes), "photos", pruned=False)
    assert told.lines == [said]


def test_what_was_passed_over_is_said_by_kind():
    report = dataclasses.replace(EXTRACTED, passed_over={".xmp": 2, ".mov": 3, "hidden folder": 1})
    tell_extracted(told := Told(), report, "photos", pruned=False)
    assert told.lines[1:] == ["          passed over: 3 .mov, 2 .xmp, 1 hidden folder"]


@pytest.mark.parametrize(("pruned", "fate"), [(False, "and stay; --prune removes them"), (True, "and were removed")])
def test_images_that_are_gone_are_a_warning(pruned, fate):
    tell_extracted(told := Told(), dataclasses.replace(EXTRACTED, gone=3), "photos", pruned=pruned)
    assert told.lines[1:] == [f"! 3 images are gone from photos, {fate}"]


def test_asking_says_what_it_cost_and_the_commonest_failures():
    report = AskReport(images=9)
    report.statuses.update(ok=2, failed=7)
    for kind in "abcdefg":
        report.reasons.add(f"kind {kind}", ord("k") - ord(kind))
    tell_asked(told := Told(), report, "light")
    assert told.lines[0] == "ask       light: 2 ok, 7 failed; $0.0000, 0 tokens, 0 s"
    assert told.lines[1:6] == [f"! {ord('k') - ord(kind)} x kind {kind}" for kind in "abcde"]
    assert "2 more reasons" in told.lines[6] and "export --table answers" in told.lines[6]
    tell_asked(told := Told(), AskReport(images=0), "light")
    assert told.lines == ["ask       light: nothing to ask; $0.0000, 0 tokens, 0 s"]


def test_batches_on_their_way_are_collected_later():
    report = BatchReport(submitted=2, running=1, reserved_usd=Decimal("0.5"), answers=collections.Counter(ok=3))
    tell_batches(told := Told(), report, "light", SimpleNamespace(uri="/out"))
    assert told.lines[0] == "ask       light: 3 ok; $0.0000, 2 batches sent"
    assert "1 batches on their way (at most $0.50): the same command collects them" in told.lines[1]
    report.running = 0
    tell_batches(told := Told(), report, "light", SimpleNamespace(uri="/out"))
    assert len(told.lines) == 1


def test_a_load_shows_some_of_what_was_refused(tmp_path):
    errors = tuple((f"image {number}", "too large") for number in range(7))
    report = dataclasses.replace(LOADED, rebuilt=("faces: damaged",), errors=errors)
    tell_loaded(told := Told(), report, "OUT")
    assert told.lines[1:3] == ["! faces: damaged", "! refused: image 0: too large"]
    assert len(told.lines) == 1 + 1 + 5 + 1 and told.lines[-1] == "! and 2 more, all in OUT/run.json"
    tell_loaded(told := Told(), dataclasses.replace(report, errors=errors[:5]), "OUT")
    assert len(told.lines) == 1 + 1 + 5


def test_strategies_that_chain_say_so():
    report = IdentityReport(faces=1200, assigned=1000, single=150, gated=50, people=40, threshold=0.5, seconds=2.4)
    line = "identify  40 people in 1,000 of 1,200 faces, 2 s"
    tell_identified(told := Told(), report, "average")
    assert told.lines == [line]
    tell_identified(told := Told(), report, "pairwise")
    assert told.lines[0] == line and len(told.lines) == 2
    assert told.lines[1].startswith("! pairwise follows chains") and "--strategy average" in told.lines[1]

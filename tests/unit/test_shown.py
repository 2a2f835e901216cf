"""What a user types at a prompt is answered in a line, and in a notebook by a table; secrets are in neither."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

import pixelbrain as pb
from pixelbrain.asking.answer_records import AskReport
from pixelbrain.engine.extract import ExtractReport
from pixelbrain.identity.people import IdentityReport
from pixelbrain.pipeline import PipelineReport
from pixelbrain.shown import Shown
from pixelbrain.storage.local import LocalStorage
from tests.unit.engine.modules_for_tests import Size
from tests.unit.landed_out import LOADED

EXTRACTED = ExtractReport(
    listed=1200, done=5, failed=0, failures={"DecodeError": 2}, moved=0, copies=0, gone=0, stopped=False,
    seconds=12.3456, working_seconds=1, seconds_by_activity={"decoding": 1}, plan=None,
)  # fmt: skip
LOADER = pb.DataLoader("photos/", s3_endpoint="http://me:hunter2@s3", limit=3)
RESNET = pb.ResnetClassifierModule("efficientnet-lite0")
ASKING = pb.Gpt4VModule("Mood?", field="mood", where="n_faces > 0")


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (pb.DataLoader("photos/"), "DataLoader(source='photos/')"),
        (LOADER, "DataLoader(source='photos/', s3_endpoint='http://me:***@s3', limit=3)"),
        (Size(), "Size(name='size')"),
        (RESNET, "ResnetClassifierModule(name='resnet', weights=['efficientnet-lite0'])"),
        (
            pb.FacenetEmbedderModule(weights_file="/own.pt"),
            "FacenetEmbedderModule(name='facenet', weights=['/own.pt'])",
        ),
        (ASKING, "Gpt4VModule(fields=['mood'], model='gpt-4o-mini', where='n_faces > 0')"),
        (
            pb.Pipeline(pb.DataLoader("p"), [Size(), ASKING]),
            f"Pipeline(loader=DataLoader(source='p'), modules=[Size(name='size'), {ASKING!r}])",
        ),
        (
            EXTRACTED,
            "ExtractReport(listed=1200, done=5, failed=0, failures={'DecodeError': 2}, moved=0, copies=0, gone=0, "
            "seconds=12.35, working_seconds=1, turned=0)",
        ),
        (
            AskReport(images=2, cost_usd=Decimal("0.0012345")),
            "AskReport(images=2, remembered=0, input_tokens=0, output_tokens=0, cost_usd=0.001234, seconds=0, "
            "failed_images=0)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_line(one, line):
    assert repr(one) == line


def test_what_landed_is_counted_for_a_notebook_and_not_for_a_debugger(landed):
    landing = pb.Landing(landed)
    assert repr(landing) == f"Landing(out='{landed}')"
    assert "<th>images</th><td>7</td>" in landing._repr_html_() and "<td>size</td>" in landing._repr_html_()
    assert "questions" not in landing._repr_html_()  # there are none
    assert repr(landing) == f"Landing(out='{landed}', images=7, modules=['size'])"
    (landed / "images").rename(landed / "elsewhere")
    (landed / "images").touch()
    assert "<th>error</th><td>cannot list" in pb.Landing(landed)._repr_html_()


def test_a_table_is_escaped_and_has_thousands():
    shown = EXTRACTED._repr_html_()
    assert "<caption>ExtractReport</caption>" in shown and "<th>listed</th><td>1,200</td>" in shown
    assert "hunter2" not in LOADER._repr_html_() and "<script>" not in pb.DataLoader("<script>")._repr_html_()
    assert "&lt;20 items&gt;" in dataclasses.replace(LOADED, rebuilt=("x",) * 20)._repr_html_()


def test_every_report_is_shown_so(tmp_path):
    people = IdentityReport(faces=9, assigned=5, single=2, gated=2, people=3, threshold=0.914, seconds=1)
    assert repr(people).startswith("IdentityReport(faces=9, ") and isinstance(people, Shown)
    report = PipelineReport(out=LocalStorage(tmp_path), extract=EXTRACTED, ask=[], load=LOADED)
    assert repr(report) == f"PipelineReport(out=LocalStorage('{tmp_path}'), extract={EXTRACTED!r}, load={LOADED!r})"

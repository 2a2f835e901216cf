"""The meter that tells nobody, and the name under which another one tells it."""

from __future__ import annotations

import inspect
import re

from pixelbrain.engine.work.meter import Meter, run_label


def test_the_silent_meter_takes_everything_and_says_nothing():
    meter = Meter()
    calls = [name for name, _ in inspect.getmembers(Meter, inspect.isfunction)]
    assert len(calls) == 9
    for name in calls:
        parameters = list(inspect.signature(getattr(meter, name)).parameters)
        assert getattr(meter, name)(*[None] * len(parameters)) is None


def test_runs_on_one_out_share_a_label_and_namesakes_do_not():
    assert run_label("s3://bucket/holiday 2026/") == run_label("s3://bucket/holiday 2026")
    ours, theirs = run_label("/home/ann/out"), run_label("/home/bob/out")
    assert ours != theirs and ours.startswith("out-") and theirs.startswith("out-")
    for out in ("s3://bucket", "/", "s3://b/ü\n{}\"=,'", "/" + "x" * 300):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}-[0-9a-f]{4}", run_label(out))

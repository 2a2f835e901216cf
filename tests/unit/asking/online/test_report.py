"""What a run of asking came to."""

from __future__ import annotations

import json
from decimal import Decimal

from pixelbrain.asking.online.report import AskReport

RECORD = {"status": "ok", "remembered": False, "input_tokens": 5, "output_tokens": 2, "cost_usd": "0.1"}


def test_parts_add_up_and_are_json() -> None:
    whole, first, second = AskReport(images=3), AskReport(), AskReport(overrun="much")
    first.add(RECORD)
    first.add({**RECORD, "remembered": True, "cost_usd": "0"})
    second.add({**RECORD, "status": "failed", "error_type": "ReadError", "input_tokens": None, "cost_usd": None})
    second.failed_images = 1
    whole.merge(first)
    whole.merge(second)
    assert (whole.statuses, whole.failures) == ({"ok": 2, "failed": 1}, {"ReadError": 1})
    assert (whole.remembered, whole.input_tokens, whole.output_tokens) == (1, 10, 6)
    assert (whole.cost_usd, whole.failed_images, whole.images, whole.overrun) == (Decimal("0.1"), 1, 3, "much")
    assert json.loads(json.dumps(whole.as_dict()))["cost_usd"] == "0.1"

"""Limits that let nothing through are refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pixelbrain.asking.settings import AskLimits
from pixelbrain.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rpm": 0.5}, "rpm is 0.5"),
        ({"tpm": float("nan")}, "tpm is nan"),
        ({"budget_usd": Decimal(0)}, "budget is 0"),
        ({"budget_usd": Decimal(-1)}, "budget is -1"),
        ({"concurrency": 2, "actors": 3}, "concurrency is 2 over 3 actors"),
        ({"actors": 0}, "concurrency is 64 over 0 actors"),
    ],
)
def test_limits_are_checked(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        AskLimits(**given)

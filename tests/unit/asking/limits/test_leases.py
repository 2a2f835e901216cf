"""What is told of a budget that is used up."""

from __future__ import annotations

from decimal import Decimal

from pixelbrain.asking.limits.leases import OverBudget


def test_over_budget_says_what_is_left_and_what_to_do() -> None:
    told = str(OverBudget(Decimal("0.0002"), Decimal("0.0001")))
    assert "may cost $0.0002 and $0.0001 of the budget is left" in told and "--budget" in told
    assert "$0 of the budget" in str(OverBudget(Decimal(1), Decimal(-3)))  # lost requests may have cost more

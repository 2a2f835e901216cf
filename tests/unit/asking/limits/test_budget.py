"""The dollars of the limiter."""

from __future__ import annotations

from decimal import Decimal

from pixelbrain.asking.limits.budget import Budget
from pixelbrain.asking.limits.leases import OverBudget


def test_what_is_reserved_is_not_there_for_others_until_it_is_settled() -> None:
    budget = Budget(Decimal(10), Decimal(4))
    assert budget.check(Decimal(6)) == "fits"
    budget.reserve(Decimal(5))
    assert budget.check(Decimal(1)) == "fits" and budget.check(Decimal(2)) == "wait"
    budget.settle(Decimal(5), Decimal(1))
    assert (budget.spent_usd, budget.reserved_usd) == (5, 0) and budget.check(Decimal(5)) == "fits"


def test_over_budget_is_final_and_says_what_is_left() -> None:
    budget = Budget(Decimal(1))
    over = budget.check(Decimal(2))
    assert isinstance(over, OverBudget) and budget.check(Decimal("0.1")) is over


def test_what_was_lost_counts_in_full_until_something_is_heard() -> None:
    budget = Budget(None)
    budget.reserve(Decimal(3))
    budget.lose(7, Decimal(3))
    assert (budget.spent_usd, budget.reserved_usd) == (3, 0)
    budget.find(8, Decimal(1))  # never lost
    budget.find(7, Decimal(1))
    budget.find(7, Decimal(1))  # told twice
    assert budget.spent_usd == 1
    assert budget.check(Decimal(10**9)) == "fits"  # without a cap

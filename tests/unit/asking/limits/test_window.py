"""An amount a minute: paced, never exceeded in a window, and learnt from the server's count."""

from __future__ import annotations

import pytest

from pixelbrain.asking.limits.window import Count, PacedWindow


def window(per_minute: float | None = 60.0, **more: float) -> PacedWindow:
    return PacedWindow(per_minute, **{"window_s": 60.0, "slack_s": 0.0, "burst_s": 1.0, **more})


def test_the_pace_is_even_after_a_burst() -> None:
    one = window()
    assert one.wait_s(0.0, 1) == 0
    for _ in range(2):
        one.spend(0.0, 1)
    assert one.wait_s(0.0, 1) == pytest.approx(2.0)
    assert one.wait_s(2.0, 1) == 0


def test_a_window_is_never_exceeded_however_much_credit_there_is() -> None:
    one = window(burst_s=600.0)
    one.wait_s(0.0, 1)
    one.spend(100.0, 60)
    assert one.wait_s(100.0, 1) == pytest.approx(60.0)  # until the sixty have left
    assert one.count(159.9) == Count(60, 60) and one.count(160.1) == Count(0, 0)


def test_what_was_not_used_is_given_back_once_the_server_is_trusted_to() -> None:
    one = window(burst_s=600.0)
    one.trust_refunds()
    expense = one.spend(0.0, 60)
    one.amend(expense, 60, 10)
    assert one.count(0.0) == Count(10, 60)
    assert one.wait_s(30.0, 50) <= 30.0
    one.amend(expense, 10, 5)
    assert one.count(70.0) == Count(0, 0)  # what left the window takes its changes along
    one.amend(expense, 5, 0)
    assert one.count(70.0) == Count(0, 0)


def test_what_others_spend_is_left_to_them_for_a_window() -> None:
    one = window(burst_s=600.0)
    one.observe(100.0, 60.0, 20.0, Count(0, 0))  # forty are gone, and none of them ours
    assert one.wait_s(100.0, 20) == 0 and one.wait_s(100.0, 21) == 1.0
    assert one.wait_s(161.0, 60) == 0


def test_without_a_limit_nothing_waits_unless_it_is_braked() -> None:
    one = window(None)
    one.spend(0.0, 10**6)
    assert one.wait_s(0.0, 10**6) == 0
    one.brake_per_minute = 60.0
    one.spend(0.0, 10)
    assert one.wait_s(0.0, 1) == pytest.approx(10.0)

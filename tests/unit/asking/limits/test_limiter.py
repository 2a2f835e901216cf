"""The limiter, by a simulated clock."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from pixelbrain.asking.limits.leases import Granted, OverBudget, Settlement, Wait, Want
from pixelbrain.asking.limits.limiter import RateLimiter
from pixelbrain.asking.request.headers import RateHeaders

CENT = Decimal("0.01")


def want(tokens: int = 100, usd: str | Decimal = "0") -> Want:
    return Want(tokens, Decimal(usd))


def most_in_window(times: list[float], window_s: float = 60.0) -> int:
    """The largest number of times within any half-open window."""
    times, first, most = sorted(times), 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def simulate(
    limiter: RateLimiter,
    actors: int,
    *,
    requests: int = 10**9,
    until_s: float = 10**9,
    start_s: float = 0.0,
    latency_s: float = 2.0,
    delay_s: float = 1.5,
    concurrency: int = 64,
    tokens: int = 100,
    used: int | None = None,
    rng: random.Random | None = None,
) -> list[float]:
    """Actors that poll, as the gate does, and send up to `delay_s` after a permit: arrivals at the server."""
    rng = rng or random.Random(7)
    now, asks_at, arrivals = start_s, [start_s] * actors, []
    in_flight: list[list[tuple[float, int]]] = [[] for _ in range(actors)]
    while len(arrivals) < requests and now < until_s:
        actor = min(range(actors), key=asks_at.__getitem__)
        now = asks_at[actor]
        ended = [one for one in in_flight[actor] if one[0] <= now]
        in_flight[actor] = [one for one in in_flight[actor] if one[0] > now]
        limiter.settle(
            now, [Settlement(n, tokens if used is None else used, Decimal(0), RateHeaders()) for _, n in ended]
        )
        free = min(concurrency - len(in_flight[actor]), requests - len(arrivals))
        answer = limiter.lease(now, [want(tokens)] * free) if free else Wait(0.05, "requests")
        if isinstance(answer, Granted):
            for permit in answer.permits:
                arrived = now + rng.uniform(0, delay_s)
                arrivals.append(arrived)
                in_flight[actor].append((arrived + latency_s, permit))
            asks_at[actor] = now + 0.002
        else:
            assert isinstance(answer, Wait)
            asks_at[actor] = now + answer.seconds + rng.uniform(0, 0.02)
    return arrivals


@pytest.mark.parametrize("rpm", [3, 60, 600, 30_000])
def test_no_window_holds_more_than_the_limit_and_nine_tenths_are_used(rpm: int):
    requests = rpm * 10 if rpm < 600 else min(rpm * 3, 2_000) if rpm == 600 else 40_000
    arrivals = simulate(RateLimiter(rpm=rpm, tpm=10**9), actors=4, requests=requests, concurrency=2_000)
    assert len(arrivals) == requests
    assert most_in_window(arrivals) <= rpm
    per_minute = (requests - 1) / (max(arrivals) - min(arrivals)) * 60
    assert per_minute >= 0.9 * rpm


def test_the_first_second_does_not_spend_the_minute():
    arrivals = simulate(RateLimiter(rpm=600, tpm=10**9), actors=4, until_s=10.0, delay_s=0.0)
    assert 85 <= len(arrivals) <= 110
    assert most_in_window(arrivals, 1.0) <= 20


def test_tokens_are_limited_too_and_what_was_not_used_is_given_back():
    full = simulate(RateLimiter(rpm=10_000, tpm=60_000), actors=2, until_s=300.0, tokens=1_000)
    assert most_in_window(full) <= 60
    assert len(full) >= 0.9 * 60 * 5
    refunded = simulate(RateLimiter(rpm=10_000, tpm=60_000), actors=2, until_s=300.0, tokens=1_000, used=500)
    assert len(refunded) > 1.7 * len(full)


def test_a_request_larger_than_the_limit_goes_alone():
    limiter = RateLimiter(rpm=600, tpm=1_000)
    assert isinstance(limiter.lease(0.0, [want(5_000)]), Granted)
    answer = limiter.lease(1.0, [want(10)])
    assert isinstance(answer, Wait) and answer.reason == "tokens"
    assert isinstance(limiter.lease(400.0, [want(10)]), Granted)


def test_a_restart_makes_no_burst():
    before = simulate(RateLimiter(rpm=600, tpm=10**9), actors=4, until_s=90.0, delay_s=0.5)
    after = simulate(RateLimiter(rpm=600, tpm=10**9), actors=4, start_s=90.0, until_s=200.0, delay_s=0.5)
    assert most_in_window(before + after) <= 600


def test_limits_are_learned_from_the_first_response():
    limiter = RateLimiter()
    granted = limiter.lease(0.0, [want()] * 50)
    assert granted == Granted((1,))
    assert limiter.lease(0.1, [want()] * 50) == Wait(0.1, "learning")
    named = RateHeaders(limit_requests=600, remaining_requests=599, limit_tokens=50_000, remaining_tokens=49_900)
    limiter.settle(1.0, [Settlement(1, 100, Decimal(0), named)])
    assert limiter._requests.per_minute == 600 and limiter._tokens.per_minute == 50_000
    arrivals = simulate(limiter, actors=3, start_s=1.0, until_s=301.0)
    assert most_in_window(arrivals) <= 500  # of 100 tokens each: the token limit is the narrower one
    assert len(arrivals) >= 0.9 * 500 * 5


def test_a_server_without_limits_is_not_limited():
    limiter = RateLimiter()
    limiter.lease(0.0, [want()])
    limiter.settle(1.0, [Settlement(1, 100, Decimal(0), RateHeaders())])
    granted = limiter.lease(1.0, [want()] * 200)
    assert isinstance(granted, Granted) and len(granted.permits) == 200


def test_another_request_learns_when_the_first_got_no_response():
    limiter = RateLimiter()
    limiter.lease(0.0, [want()])
    limiter.settle(1.0, [Settlement(1, None, None)])
    assert limiter.lease(1.0, [want()] * 5) == Granted((2,))


def test_the_lower_of_given_and_named_holds():
    limiter = RateLimiter(rpm=100, tpm=10**6)
    limiter.lease(0.0, [want()])
    limiter.settle(0.0, [Settlement(1, 100, Decimal(0), RateHeaders(limit_requests=500, limit_tokens=30_000))])
    assert limiter._requests.per_minute == 100 and limiter._tokens.per_minute == 30_000


def test_what_others_spend_on_the_account_is_left_to_them():
    limiter = RateLimiter(rpm=600, tpm=10**9)
    granted = limiter.lease(0.0, [want()])
    assert isinstance(granted, Granted)
    headers = RateHeaders(limit_requests=600, remaining_requests=1)
    limiter.settle(0.5, [Settlement(granted.permits[0], 100, Decimal(0), headers)])
    answer = limiter.lease(1.0, [want()] * 10)
    assert isinstance(answer, Granted) and len(answer.permits) == 1
    assert isinstance(limiter.lease(30.0, [want()]), Wait)
    assert isinstance(limiter.lease(70.0, [want()]), Granted)


def test_a_server_that_keeps_what_was_reserved_gives_no_refunds():
    """Each request reserves 1,000 tokens and uses 100; this server counts 1,000 for a minute all the same."""
    limiter = RateLimiter(rpm=10_000, tpm=60_000)
    now, server, flying = 0.0, [], []
    while now < 240:
        answer = limiter.lease(now, [want(1_000)])
        if isinstance(answer, Granted):
            server.append(now)
            flying.append((now + 1.0, answer.permits[0]))
        while flying and flying[0][0] <= now:
            used = 1_000 * sum(t > now - 60 for t in server)
            headers = RateHeaders(limit_tokens=60_000, remaining_tokens=max(0, 60_000 - used))
            limiter.settle(now, [Settlement(flying.pop(0)[1], 100, Decimal(0), headers)])
        now += 0.05
    assert most_in_window(server) <= 60
    assert len(server) >= 0.9 * 60 * 4


def test_a_429_pauses_everyone_with_jitter_and_slows_down_for_a_while():
    limiter = RateLimiter(rpm=600, tpm=10**9, seed=1)
    before = simulate(limiter, actors=2, until_s=20.0)
    limiter.pause(20.0, 10.0)
    limiter.pause(20.0, 1.0)  # a shorter one does not end the longer one
    answer = limiter.lease(20.5, [want()])
    assert isinstance(answer, Wait) and answer.reason == "paused" and 9.5 <= answer.seconds <= 10.5
    after = simulate(limiter, actors=2, start_s=20.5, until_s=140.5)
    assert min(after) >= 30.0
    assert sum(t < 31 for t in after) <= 12  # no burst after the pause
    assert most_in_window(before + after) <= 600
    late = [t for t in after if t >= 80]
    assert len(late) >= 0.9 * 600  # and the whole rate again


def test_without_a_known_limit_429s_find_one():
    """A server that lets 120 a minute through and names no limit."""
    limiter, now, times, refused = RateLimiter(), 0.0, [], 0
    limiter.lease(0.0, [want()])
    limiter.settle(0.0, [Settlement(1, 100, Decimal(0), RateHeaders())])
    while now < 900:
        answer = limiter.lease(now, [want()] * 32)
        if isinstance(answer, Granted):
            for permit in answer.permits:
                ok = sum(t > now - 60 for t in times[-121:]) < 120
                refused += not ok
                limiter.settle(now, [Settlement(permit, 100 if ok else 0, Decimal(0), RateHeaders())])
                if ok:
                    times.append(now)
                else:
                    limiter.pause(now, 2.0)
        now += 0.1
    assert refused < 0.3 * len(times)
    assert len(times) > 0.6 * 120 * 15


def test_the_budget_is_reserved_before_and_never_exceeded_by_a_cent():
    rng = random.Random(3)
    limiter = RateLimiter(rpm=10**6, tpm=10**9, budget_usd=Decimal(1))
    spent, flying, now, over = Decimal(0), [], 0.0, None
    while over is None or flying:
        now += 0.01
        answer = limiter.lease(now, [want(usd=CENT)] * 8)
        if isinstance(answer, Granted):
            flying += answer.permits
        elif isinstance(answer, OverBudget):
            over = answer
        if flying and rng.random() < 0.5:
            cost = CENT * rng.randint(0, 100) / 100
            spent += cost
            limiter.settle(now, [Settlement(flying.pop(0), 10, cost)])
        assert spent + CENT * len(flying) <= 1
    assert limiter.budget.spent_usd == spent and limiter.budget.reserved_usd == 0
    assert 1 - spent < CENT  # all of it was used, as far as whole requests go
    assert limiter.lease(now, [want(usd="0.000001")]) == over  # final
    assert "--budget" in str(over)


def test_earlier_runs_count():
    limiter = RateLimiter(rpm=60, budget_usd=Decimal(1), already_spent_usd=Decimal("0.995"))
    assert isinstance(limiter.lease(0.0, [want(usd=CENT)]), OverBudget)


def test_a_request_that_may_fit_later_waits_for_those_in_flight():
    limiter = RateLimiter(rpm=10**6, tpm=10**9, budget_usd=3 * CENT)
    assert limiter.lease(0.0, [want(usd=CENT)] * 8) == Granted((1,))  # nothing to catch up on yet
    assert limiter.lease(0.5, [want(usd=CENT)] * 8) == Granted((2, 3))
    assert limiter.lease(1.0, [want(usd=CENT)]) == Wait(0.1, "budget")
    limiter.settle(2.0, [Settlement(1, 10, Decimal(0))])
    assert limiter.lease(2.0, [want(usd=CENT)]) == Granted((4,))


def test_leases_of_the_dead_expire_and_their_dollars_stay_counted():
    limiter = RateLimiter(rpm=600, tpm=10**9, budget_usd=3 * CENT, lease_timeout_s=300)
    assert [limiter.lease(t, [want(usd=CENT)]) for t in (0.0, 0.4, 0.8)] == [Granted((n,)) for n in (1, 2, 3)]
    limiter.settle(1.0, [Settlement(2, 50, CENT / 2)])
    assert isinstance(limiter.lease(299.0, [want(usd=CENT)]), Wait)
    assert isinstance(limiter.lease(301.0, [want(usd=CENT)]), OverBudget)
    assert limiter.budget.spent_usd == CENT * 5 / 2 and limiter.in_flight == 0
    limiter.settle(302.0, [Settlement(1, 50, Decimal(0)), Settlement(1, 50, CENT), Settlement(99, 1, CENT)])
    assert limiter.budget.spent_usd == CENT * 3 / 2  # one of them was alive after all; twice and unknown change nothing


def test_what_nobody_knows_counts_in_full():
    limiter = RateLimiter(rpm=600, tpm=1_000)
    limiter.lease(0.0, [want(800, CENT)])
    limiter.settle(1.0, [Settlement(1, None, None)])
    assert limiter.budget.spent_usd == CENT and limiter._tokens.count(1.0).used == 800


def test_what_is_waited_for_is_said_and_for_how_long():
    def waits(limiter: RateLimiter, now: float) -> tuple[float, str]:
        while isinstance(limiter.lease(now, [Want(10, Decimal(0))]), Granted):
            pass
        waiting = limiter.waiting(now)
        assert waiting is not None
        return round(waiting.until - now), waiting.what

    assert waits(RateLimiter(rpm=2, tpm=10**9), 100.0) == (31, "the limit of 2 requests a minute")
    assert waits(RateLimiter(rpm=10**6, tpm=30), 100.0) == (21, "the limit of 30 tokens a minute")
    limiter = RateLimiter(rpm=10**6, tpm=10**9, seed=0)
    assert limiter.waiting(100.0) is None
    limiter.pause(100.0, 3600.0, "HTTP 429: 200 requests a day")
    seconds, what = waits(limiter, 101.0)
    assert 3599 <= seconds < 3960 and what == "the server, which said HTTP 429: 200 requests a day"
    assert limiter.waiting(101.0 + seconds + 1) is None  # it may go on

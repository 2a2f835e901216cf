"""Riding out a restart: wait for the server within a limit, and not for ever."""

from __future__ import annotations

import logging

import pytest

from pixelbrain.errors import StoreError
from pixelbrain.stores import reconnect
from pixelbrain.stores.reconnect import ride_out


class Server:
    """Goes away `outages` times, and is back after `silent` questions."""

    def __init__(self, outages: int, silent: int = 2) -> None:
        self.outages, self.silent, self.asked, self.steps = outages, silent, 0, 0

    def step(self) -> str:
        self.steps += 1
        if self.steps <= self.outages:
            raise ConnectionError("gone")
        return "done"

    def answers(self) -> bool:
        self.asked += 1
        return self.asked % (self.silent + 1) == 0

    def ride_out(self) -> str:
        return ride_out(self.step, server="the server", lost=(ConnectionError,), answers=self.answers)


def test_what_is_there_is_not_waited_for():
    server = Server(outages=0)
    assert server.ride_out() == "done" and (server.steps, server.asked) == (1, 0)


def test_a_restart_is_waited_for_and_told(caplog):
    server = Server(outages=1)
    with caplog.at_level(logging.WARNING):
        assert server.ride_out() == "done"
    assert (server.steps, server.asked) == (2, 3)
    first, second = caplog.messages
    assert first == "the server went away: waiting for it, 30 s at most"
    assert second.startswith("the server is back after") and second.endswith("going on")


def test_a_server_that_stays_away_is_an_error(monkeypatch):
    monkeypatch.setattr(reconnect, "RECONNECT_LIMIT_S", 0.2)
    server = Server(outages=1, silent=1000)
    with pytest.raises(ConnectionError, match="gone"):
        server.ride_out()
    assert server.steps == 1


def test_a_step_that_ends_the_server_each_time_is_not_done_for_ever():
    server = Server(outages=100, silent=0)
    with pytest.raises(ConnectionError):
        server.ride_out()
    assert server.steps == 4


def test_what_makes_waiting_useless_is_said_at_once():
    def answers() -> bool:
        raise StoreError("it has ended")

    server = Server(outages=1)
    with pytest.raises(StoreError, match="it has ended"):
        ride_out(server.step, server="the server", lost=(ConnectionError,), answers=answers)


def test_other_errors_are_not_tried_again():
    def step() -> None:
        steps.append(1)
        raise ValueError("bad")

    steps: list[int] = []
    with pytest.raises(ValueError, match="bad"):
        ride_out(step, server="the server", lost=(ConnectionError,), answers=lambda: True)
    assert len(steps) == 1

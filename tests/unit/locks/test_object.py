"""The lock of an OUT in S3, on a folder: it asks nothing of a place but to list, read, write and delete."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.locks.object import ObjectHold, hold_object
from pixelbrain.locks.owner import Owner
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.local import LocalStorage
from tests.waiting import wait_for

#: Of another machine, so that nobody can look whether its process lives.
ELSEWHERE = Owner(host="far", pid=7, what="extract", since="yesterday", machine="far", started="1")


def elsewhere(number: int) -> Owner:
    return dataclasses.replace(ELSEWHERE, host=f"host{number}", machine=f"machine{number}")


def claims(storage: LocalStorage) -> list[dict]:
    """One that goes after its name was read, as while a claim is withdrawn, is none."""
    found = [storage.read(f"lock/{name}") for name in storage.names("lock")]
    return [json.loads(claim) for claim in found if claim]


def silent_claim(storage: LocalStorage, beat_at: float, owner: Owner = ELSEWHERE, after: Sequence[str] = ()) -> str:
    """A claim whose owner does not beat (any more)."""
    name = f"{uuid.uuid4().hex}.json"
    claim = {"name": name, "owner": dataclasses.asdict(owner), "held": True, "beat_at": beat_at, "after": list(after)}
    storage.write(f"lock/{name}", json.dumps(claim).encode())
    return name


def test_of_many_at_the_same_moment_one_gets_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.locks.object._PAUSE_S", 0.1)
    storage = LocalStorage(tmp_path)
    won = 0
    for _ in range(6):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda number: hold_object(storage, elsewhere(number)), range(4)))
        holds = [hold for hold, _ in found if hold is not None]
        assert len(holds) <= 1 and sum(claim["held"] for claim in claims(storage)) == len(holds)
        assert all(owner is not None for hold, owner in found if hold is None)
        for hold in holds:
            hold.free()
        assert claims(storage) == []
        won += len(holds)
    assert won >= 4  # that all withdraw eight times is possible, and rare


def test_a_living_owner_is_seen_by_its_beat_whatever_its_clock(tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path)
    held, _ = hold_object(storage, elsewhere(1), beat_s=0.05, stale_s=60)
    assert isinstance(held, ObjectHold)
    before = claims(storage)[0]["beat_at"]
    wait_for(lambda: claims(storage)[0]["beat_at"] > before)
    # by the other machine's clock, the owner is silent for an hour
    real = time.time
    monkeypatch.setattr("pixelbrain.locks.object.time.time", lambda: real() + 3600)
    refused, owner = hold_object(storage, elsewhere(2), beat_s=0.4, stale_s=60)
    assert refused is None and owner == elsewhere(1) and not held.lost
    held.free()


@pytest.mark.parametrize("clock", [-3600, 3600])
def test_a_silent_owner_is_buried(tmp_path, clock):
    storage = LocalStorage(tmp_path)
    silent_claim(storage, time.time() + clock)
    held, _ = hold_object(storage, elsewhere(2), beat_s=0.05, stale_s=60)
    assert held is not None and len(claims(storage)) == 1
    held.free()


def test_a_recent_beat_counts_without_being_watched(tmp_path):
    storage = LocalStorage(tmp_path)
    silent_claim(storage, time.time() - 30)
    started = time.monotonic()
    assert hold_object(storage, elsewhere(2), beat_s=20, stale_s=90) == (None, ELSEWHERE)
    assert time.monotonic() - started < 10


def test_a_dead_process_of_this_machine_and_an_own_leftover_are_not_waited_for(tmp_path):
    storage, me = LocalStorage(tmp_path), Owner.this_process("extract")
    silent_claim(storage, time.time(), dataclasses.replace(me, started="1"))
    silent_claim(storage, time.time(), me)
    held, _ = hold_object(storage, me, beat_s=20, stale_s=90)
    assert held is not None and len(claims(storage)) == 1
    held.free()


def test_who_was_buried_learns_it_and_stops(tmp_path):
    storage = LocalStorage(tmp_path)
    first, _ = hold_object(storage, elsewhere(1), beat_s=0.05, stale_s=60)
    assert first is not None
    (mine,) = storage.names("lock")

    def learnt() -> bool:
        storage.delete(f"lock/{mine}")  # as one does to whom it seemed dead; a beat may be writing it just then
        return first.lost

    wait_for(learnt)
    second, _ = hold_object(storage, elsewhere(2), beat_s=0.05, stale_s=60)
    first.free()
    assert second is not None and not second.lost and len(claims(storage)) == 1
    second.free()


def test_a_claim_that_was_written_while_it_was_buried_ends_at_the_next_beat(tmp_path):
    storage = LocalStorage(tmp_path)
    name = silent_claim(storage, time.time() - 3600, elsewhere(1))
    claim = storage.read(f"lock/{name}") or b""
    second, _ = hold_object(storage, elsewhere(2), beat_s=0.05, stale_s=60)
    assert second is not None
    storage.write(f"lock/{name}", claim)  # the first one was just about to
    wait_for(lambda: len(claims(storage)) == 1)
    assert claims(storage)[0]["after"] == [name] and not second.lost
    second.free()


def test_who_wrote_its_claim_while_it_was_buried_gives_way(tmp_path):
    storage = LocalStorage(tmp_path)
    first, _ = hold_object(storage, elsewhere(1), beat_s=0.1, stale_s=60)
    assert first is not None
    (mine,) = storage.names("lock")
    silent_claim(storage, time.time(), elsewhere(2), after=[mine])
    wait_for(lambda: first.lost)
    first.free()
    assert [claim["after"] for claim in claims(storage)] == [[mine]]


class Unreachable(LocalStorage):
    """A place that cannot be reached, when it is told so."""

    reachable = True

    def names(self, folder):
        if not self.reachable:
            raise LandingError("no connection")
        return super().names(folder)

    def delete(self, name):
        if not self.reachable:
            raise LandingError("no connection")
        super().delete(name)


def test_who_cannot_beat_for_long_must_think_itself_dead(tmp_path, caplog):
    storage = Unreachable(tmp_path)
    held, _ = hold_object(storage, ELSEWHERE, beat_s=0.02, stale_s=0.3)
    assert held is not None
    storage.reachable = False
    time.sleep(0.1)
    assert not held.lost
    wait_for(lambda: held.lost)
    held.free()
    assert "could not be kept fresh: no connection" in caplog.text and "others will find it in use" in caplog.text


class FarStorage(LocalStorage):
    """A folder that is locked as S3 is."""

    is_local = False


def test_who_lost_it_does_not_go_on_with_the_next_stage(tmp_path):
    storage = FarStorage(tmp_path)
    with RunLock(storage, what="run", beat_s=0.02) as run:
        with RunLock(storage, what="extract"):
            assert len(claims(storage)) == 1 and not run.lost
        storage.delete(f"lock/{storage.names('lock')[0]}")
        wait_for(lambda: run.lost)
        with pytest.raises(OutLockedError, match="was lost to another run"):
            RunLock(storage, what="load").acquire()
        assert run.holders() == 1


def test_what_is_no_claim(tmp_path):
    storage = LocalStorage(tmp_path)
    storage.write("lock/readme.txt", b"not ours")
    storage.write(f"lock/{uuid.uuid4().hex}.json", b"[]")
    with pytest.raises(LandingError, match="is not a lock of Pixelbrain: remove it"):
        hold_object(storage, ELSEWHERE)

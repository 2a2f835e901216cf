"""A lock in S3: a claim that its owner writes again and again, and that counts as dead when it stays the same.

Nothing but plain writes and a listing that is up to date is asked of the server (many ignore `If-None-Match`). Whoever
wants the lock first writes a claim of its own and then lists all claims: of two, the one that lists later sees the
other, so that never both believe to be alone. Who sees another one withdraws; two that began at the same time try again
after a random pause.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field, replace

from pixelbrain.errors import LandingError
from pixelbrain.locks.owner import Owner
from pixelbrain.locks.process import Hold
from pixelbrain.storage.base import Storage

logger = logging.getLogger(__name__)

BEAT_S = 20.0
STALE_S = 90.0

_FOLDER = "lock"
_NAME = re.compile(r"[0-9a-f]{32}\.json")
_TRIES = 8  # of two that begin at the same time, to be the only one
_PAUSE_S = 0.5  # before another try, at most so long times the number of tries


@dataclass(frozen=True, kw_only=True)
class _Claim:
    name: str
    owner: Owner
    held: bool  # False: its owner does not know yet whether it is alone
    beat_at: float  # seconds since 1970 by its owner's clock
    after: tuple[str, ...]  # claims of the dead, which were removed for it


def hold_object(
    storage: Storage, owner: Owner, beat_s: float = BEAT_S, stale_s: float = STALE_S
) -> tuple[ObjectHold | None, Owner | None]:
    """Take the lock of an OUT; or None, and who has it.

    Takes 1.5 beats longer where the owner has been silent for `stale_s` by this machine's clock: of two clocks one may
    be wrong, so that only silence that was watched counts. Raises `LandingError`.
    """
    claim = _Claim(name=f"{uuid.uuid4().hex}.json", owner=owner, held=False, beat_at=0, after=())
    search = _Search(storage, claim, beat_s, stale_s)
    rival = search.rival()
    for attempt in range(_TRIES):
        if rival is None:
            _write(storage, claim)
            rival = search.rival()
            if rival is None:
                held = replace(claim, held=True, after=tuple(search.buried))
                _write(storage, held)
                rival = search.rival()
                if rival is None or not rival.held:  # one that only claims will see us; one that holds has buried us
                    return ObjectHold(storage, held, beat_s, stale_s), None
            storage.delete(_path(claim.name))
        if rival.held:
            break
        time.sleep(random.uniform(0, _PAUSE_S * (attempt + 1)))
        rival = search.rival()
    return None, rival.owner if rival else None


@dataclass
class _Search:
    """Looks for others, and buries the dead."""

    storage: Storage
    claim: _Claim
    beat_s: float
    stale_s: float
    buried: list[str] = field(default_factory=list)

    def rival(self) -> _Claim | None:
        """A living claim besides our own; one that holds the lock, if there is one."""
        found = None
        for other in _claims(self.storage, self.claim.name):
            if other.name not in self.buried:
                if not self._is_dead(other):
                    if other.held:
                        return other
                    found = other
                    continue
                logger.info("the lock of %s was held by %s, which is dead", self.storage.uri, other.owner)
                self.buried.append(other.name)
            self.storage.delete(_path(other.name))
        return found

    def _is_dead(self, other: _Claim) -> bool:
        # a claim of this very process is what it could not remove earlier: it has only one at a time
        if other.owner.is_dead() or other.owner.is_same_process(self.claim.owner):
            return True
        if abs(time.time() - other.beat_at) <= self.stale_s:
            return False
        watch_s = 1.5 * self.beat_s
        logger.warning("%s: no sign of %s; waiting %.0f s to be sure", self.storage.uri, other.owner, watch_s)
        time.sleep(watch_s)
        again = _read(self.storage, other.name)
        return again is None or again.beat_at == other.beat_at


class ObjectHold(Hold):
    """A claim that this process keeps fresh, in a thread of its own."""

    def __init__(self, storage: Storage, claim: _Claim, beat_s: float, stale_s: float) -> None:
        self._storage = storage
        self._claim = claim
        self._beat_s = beat_s
        self._stale_s = stale_s
        self._freed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="run-lock", daemon=True)
        self._thread.start()

    def free(self) -> None:
        self._freed.set()
        self._thread.join()
        try:
            self._storage.delete(_path(self._claim.name))
        except LandingError as error:
            logger.warning("%s; until %.0f s from now, others will find it in use", error, self._stale_s)

    def _keep(self) -> None:
        beat_at = time.monotonic()
        while not self.lost and not self._freed.wait(self._beat_s):
            try:
                self.lost = not self._beat()
                beat_at = time.monotonic()
            except LandingError as error:  # others cannot tell this from death
                logger.warning("the lock of %s could not be kept fresh: %s", self._storage.uri, error)
                self.lost = time.monotonic() - beat_at > self._stale_s
        if self.lost:
            logger.error("the lock of %s was lost: another run may have it", self._storage.uri)

    def _beat(self) -> bool:
        """Show that this process lives; False if others took it for dead."""
        name = self._claim.name
        if name not in self._storage.names(_FOLDER):
            return False
        for other in _claims(self._storage, name):
            if other.held and name in other.after:  # we were buried, and wrote our claim again at that very moment
                self._storage.delete(_path(name))
                return False
            if other.name in self._claim.after:  # the same, the other way round
                self._storage.delete(_path(other.name))
        _write(self._storage, self._claim)
        return True


def _claims(storage: Storage, own: str) -> list[_Claim]:
    """All claims besides one's own."""
    others = [name for name in storage.names(_FOLDER) if name != own and _NAME.fullmatch(name)]
    return [claim for name in others if (claim := _read(storage, name)) is not None]


def _read(storage: Storage, name: str) -> _Claim | None:
    """A claim; None if it was removed just now."""
    if (data := storage.read(_path(name))) is None:
        return None
    try:
        found = json.loads(data)
        owner = Owner(**found.pop("owner"))
        return _Claim(name=name, owner=owner, held=found["held"], beat_at=found["beat_at"], after=tuple(found["after"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LandingError(f"{storage.uri}/{_path(name)} is not a lock of Pixelbrain: remove it") from None


def _write(storage: Storage, claim: _Claim) -> None:
    data = asdict(replace(claim, beat_at=time.time()))
    storage.write(_path(claim.name), json.dumps(data).encode())


def _path(name: str) -> str:
    return f"{_FOLDER}/{name}"

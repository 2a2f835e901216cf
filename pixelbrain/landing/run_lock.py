"""One run at a time on one OUT, on whatever machines they are."""

from __future__ import annotations

from pixelbrain.errors import LandingError, OutLockedError
from pixelbrain.landing.lock_owner import Owner
from pixelbrain.landing.object_lock import BEAT_S, STALE_S, hold_object
from pixelbrain.landing.place import Place
from pixelbrain.landing.place_local import why_not_written
from pixelbrain.landing.process_lock import Hold, ProcessLock, file_owner, hold_file

__all__ = ["RunLock"]

_NAME = "run.lock"


class RunLock(ProcessLock):
    """The lock of an OUT: `with RunLock(place, what="extract"): ...`. Shared by all holders in this process.

    On a disk it is a locked file (`process_lock`), in S3 an object that is kept fresh (`object_lock`); of an owner that
    died, both are taken over.

    Args:
        place: where OUT is.
        what: the command that is run, for the message to others.
        beat_s: how often the object in S3 is written again.
        stale_s: after how long without that its owner counts as dead.
    """

    def __init__(self, place: Place, *, what: str, beat_s: float = BEAT_S, stale_s: float = STALE_S) -> None:
        super().__init__(f"run {place.local.resolve() if place.is_local else place.uri}")
        self._place = place
        self._what = what
        self._times = (beat_s, stale_s)

    def acquire(self) -> None:
        """Take OUT for this process, or a share of it; at once or not at all.

        Raises:
            OutLockedError: another process has it, or took it from this one.
            LandingError: OUT cannot be written.
        """
        super().acquire()
        if self.lost:
            self.release()
            raise OutLockedError(
                f"{self._place.uri} was lost to another run while this one was suspended or offline: run it again"
            )

    def _take(self) -> Hold:
        owner = Owner.this_process(f"pixelbrain {self._what}")
        if not self._place.is_local:
            held, other = hold_object(self._place, owner, *self._times)
        else:
            path = self._place.local / _NAME
            try:
                held = hold_file(path, owner)
            except OSError as error:
                raise LandingError(f"cannot lock {self._place.uri}: {why_not_written(path, error)}") from None
            other = file_owner(path) if held is None else None
        if held is None:
            raise OutLockedError(
                f"{self._place.uri} is in use by {other or 'another process'}: wait until it is done, or end it"
            )
        return held

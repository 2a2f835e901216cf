"""OUT/work: what the driver and the workers of one run tell each other, on whatever machines they are.

Small files, and not Ray's actors: a worker stays a plain class that knows no Ray, and what it wrote about the block in
its hands is there after it was killed. They are removed when a run starts and when it ends.
"""

from __future__ import annotations

import functools
import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain.storage.base import Storage

_FOLDER = "work"
_STOP = f"{_FOLDER}/stop"
_LISTING = f"{_FOLDER}/listing.json"
_GONE = f"{_FOLDER}/gone.parquet"
_KNOWN = f"{_FOLDER}/known.arrow"
_UNSETTLED = f"{_FOLDER}/unsettled"
_DOING = "doing-"

_LOOK_EVERY_S = 1.0  # for a request to stop: on S3 a look costs a request


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How far the listing is."""

    listed: int = 0  # images that the source has
    pending: int = 0  # of them, left to do when they were listed
    passed_over: Mapping[str, int] = field(default_factory=dict)  # by kind; known when it is complete
    complete: bool = False


class RunNotes:
    """The notes of the run that holds OUT's lock, for the driver or for one worker."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._doing = f"{_FOLDER}/{_DOING}{uuid.uuid4().hex[:12]}"
        self._looked_at = -_LOOK_EVERY_S
        self._stop = False

    def clear(self) -> None:
        """Remove what an earlier run left, but for what is unsettled; others keep notes of their own there."""
        for name in (f"{_FOLDER}/{one}" for one in self._storage.names(_FOLDER)):
            if name in (_STOP, _LISTING, _GONE, _KNOWN) or name.startswith(f"{_FOLDER}/{_DOING}"):
                self._storage.delete(name)

    def request_stop(self) -> None:
        """Ask the workers to land what is in their hands, and to take nothing new."""
        self._storage.write(_STOP, b"")

    def stop_requested(self) -> bool:
        """Whether a stop was asked for; looks once a second at most."""
        if not self._stop and time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._stop = self._storage.read(_STOP) is not None
            self._looked_at = time.monotonic()
        return self._stop

    def write_listing(self, listing: Listing, gone: pa.Table | None = None) -> None:
        """Say how far the listing is; `gone` (image_id, version) when it is complete."""
        if gone is not None and len(gone):
            self._storage.write_with(_GONE, functools.partial(pq.write_table, gone))
        self._storage.write(_LISTING, json.dumps(asdict(listing)).encode())

    def read_listing(self) -> Listing:
        """How far the listing is."""
        found = self._storage.read(_LISTING)
        return Listing(**json.loads(found)) if found else Listing()

    def read_gone(self) -> pa.Table | None:
        """The images that are gone from the source; None when there is none."""
        found = self._storage.read(_GONE)
        return pq.read_table(pa.BufferReader(found)) if found else None

    def write_known(self, table: pa.Table | None) -> None:
        """Tell the workers, before they get any work, which bytes are known; see `landing.known.find_known`."""
        if table is not None:
            self._storage.write_with(_KNOWN, functools.partial(_write_arrow, table))

    def read_known(self) -> pa.Table | None:
        """What `write_known` wrote. On a disk it is mapped, so that the workers of a machine share it."""
        if self._storage.is_local:
            path = self._storage.local / _KNOWN
            found = pa.memory_map(str(path)) if path.exists() else None
        else:
            data = self._storage.read(_KNOWN)
            found = pa.BufferReader(data) if data is not None else None
        return pa.ipc.open_file(found).read_all() if found is not None else None

    def begin_unsettled(self, generation: int) -> None:
        """From this generation on, images land that may have moved, until `settled`; an earlier one stays."""
        if self.unsettled() is None:
            self._storage.write(_UNSETTLED, str(generation).encode())

    def unsettled(self) -> int | None:
        """The first generation whose moves nobody has looked at, of this run or of one that was killed."""
        found = self._storage.read(_UNSETTLED)
        return int(found) if found else None

    def settled(self) -> None:
        """Say that all moves are looked at."""
        self._storage.delete(_UNSETTLED)

    def begin(self, work: str) -> None:
        """Say which work this thread of a worker has in hand from now on, such as a block's number."""
        self._storage.write(self._in_hand, work.encode())

    def deaths_over(self, work: str) -> int:
        """How many workers died with this work in hand: they said that they had it, and it is here again."""
        others = (f"{_FOLDER}/{n}" for n in self._storage.names(_FOLDER) if n.startswith(_DOING))
        return sum(self._storage.read(name) == work.encode() for name in others if not name.startswith(self._doing))

    def end(self) -> None:
        """Say that this thread has nothing in hand."""
        self._storage.delete(self._in_hand)

    @property
    def _in_hand(self) -> str:
        return f"{self._doing}-{threading.get_ident()}"


def _write_arrow(table: pa.Table, file: IO[bytes]) -> None:
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)

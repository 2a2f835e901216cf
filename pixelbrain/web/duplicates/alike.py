"""What is alike in an OUT, as it was found and chosen, for all browsers; looks for duplicates beside the pages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pyarrow as pa

from pixelbrain.identity.lookalikes.alike import found_alike
from pixelbrain.landing.duplicates.choices import ChoiceLog
from pixelbrain.landing.duplicates.read import found_duplicates
from pixelbrain.landing.landing import Landing
from pixelbrain.stages.stages import Stages
from pixelbrain.web.data.beside import Beside
from pixelbrain.web.data.desk import Desk, View
from pixelbrain.web.duplicates.groups import Groups, in_order

_WAIT_S = 3.0  # as an edit of people waits for a run
_FIND: Mapping[str, Callable[[Landing], pa.Table | None]] = {
    "duplicates": found_duplicates,
    "lookalikes": found_alike,
}
_FOLDERS = {"duplicates": "duplicates", "lookalikes": "groups"}


class Alike:
    """Safe to share between threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self.log = desk, ChoiceLog(desk.storage, wait_s=_WAIT_S)
        self._lock = threading.RLock()
        self._found: dict[str, tuple[tuple, pa.Table | None]] = {}  # by what it was made of
        self._groups: dict[str, tuple[tuple, Groups]] = {}
        self.looking = Beside("duplicates", "looking for duplicates failed")

    def groups(self, view: View, what: str) -> Groups | None:
        """Groups of `duplicates` or of `lookalikes`; None: nobody looked for any. Raises `LandingError`."""
        with self._lock:
            storage, folder = self._desk.storage, _FOLDERS[what]
            of = (view.stamp[:16], storage.versions(folder).get(f"{folder}.parquet"))
            if what not in self._found or self._found[what][0] != of:
                found = _FIND[what](self._desk.landing)
                self._found[what] = of, None if found is None else in_order(found, view.photos)
            rows, choices = self._found[what][1], self.log.read()
            if rows is None:
                return None
            chosen = (of, *((one.number, len(one.photos)) for one in choices[-1:]), len(choices))
            if what not in self._groups or self._groups[what][0] != chosen:
                self._groups[what] = chosen, Groups(rows, choices, view.photos, drops=what == "duplicates")
            return self._groups[what][1]

    def look(self) -> None:
        """Look for duplicates, beside the pages; if somebody asked for it already, once."""
        stages = Stages(self._desk.stages.config, self._desk.stages.display)  # with a landing of its own
        self.looking.start(lambda tell: stages.duplicates(progress=tell))

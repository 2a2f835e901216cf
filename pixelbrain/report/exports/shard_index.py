"""Which tar files of an export are whole, and of what: one that was cut short goes on from there."""

from __future__ import annotations

import json
from typing import Any

from pixelbrain.errors import ConfigError
from pixelbrain.storage.base import Storage

#: In the form of WebDataset's `wids`, with more keys than it knows.
NAME = "index.json"
_MARK = "pixelbrain"

Shard = dict[str, Any]  # url, nsamples, made_of, left_out: photos and why; and the file's version


class ShardIndex:
    """The tar files that an export has written, in `index.json` beside them.

    A file is listed once it is whole. `earlier` holds what the export before has left, until this one is complete.

    Raises:
        ConfigError: an `index.json` is there that is not an export's.
    """

    def __init__(self, storage: Storage, out: str) -> None:
        self._storage, self._out = storage, out
        self.shards: list[Shard] = []
        there = _read(storage)
        self._earlier = {one["url"]: one for one in (*there.get("earlier", ()), *there.get("shardlist", ()))}
        self._versions = storage.versions("") if self._earlier else {}

    def known(self, name: str, made_of: str) -> Shard | None:
        """A file that is there already, and is of just this; None: it has to be written."""
        shard = self._earlier.get(name)
        if shard is None or shard["left_out"]:  # what was left out may be there again
            return None
        return shard if (shard["made_of"], shard["version"]) == (made_of, self._versions.get(name)) else None

    def add(self, shard: Shard) -> None:
        """A file is whole, a new one or one that is `known`."""
        if "version" not in shard:
            shard = shard | {"version": self._storage.versions("")[shard["url"]]}
        self.shards.append(shard)
        self._earlier.pop(shard["url"], None)
        self._write(complete=False)

    def finish(self) -> None:
        """All are: those that an earlier export had, and this one has not, are removed."""
        for name in self._earlier:
            self._storage.delete(name)
        self._earlier = {}
        self._write(complete=True)

    def _write(self, *, complete: bool) -> None:
        found = {
            "wids_version": 1,
            "name": _MARK,
            "shardlist": self.shards,
            _MARK: {"out": self._out, "complete": complete},
            "earlier": [*self._earlier.values()],
        }
        self._storage.write(NAME, json.dumps(found, ensure_ascii=False, indent=1).encode())


def _read(storage: Storage) -> dict[str, Any]:
    data = storage.read(NAME)
    try:
        found = {_MARK: None} if data is None else json.loads(data)
        if _MARK in found:
            return dict(found)
    except (ValueError, TypeError):
        pass
    raise ConfigError(f"{storage.uri}/{NAME} is not an export's: name another folder")

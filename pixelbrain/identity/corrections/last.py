"""What the last `identify` found, and by what: is anything new, and is it to be linked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pixelbrain.identity.corrections.events import EVENTS
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import IMAGES
from pixelbrain.landing.registry import REGISTRY
from pixelbrain.storage.base import Storage

_FILE = "work/identified.json"
# Of another one, all faces are linked again: it goes up where the same faces would become other people.
_RULES = 1


@dataclass(frozen=True, kw_only=True)
class Last:
    """A run of `identify` that came to its end."""

    settings: Mapping[str, Any]  # by which people were found
    state: str  # see `state_of`
    linked: int  # faces that were there when all were linked
    counts: Mapping[str, int]  # faces, assigned, single, gated, people
    rules: int = _RULES

    def write(self, storage: Storage) -> None:
        """Keep it in place of the one before, when all else is written."""
        storage.write(_FILE, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, storage: Storage) -> Last | None:
        """None: there is none, or one of other rules: all are linked again."""
        try:
            found = cls(**json.loads(storage.read(_FILE) or b"{}"))
        except (ValueError, TypeError):
            return None
        return found if found.rules == _RULES else None


def forget_last(storage: Storage) -> None:
    """Before people are found by other settings: where that is cut short, all are linked again."""
    storage.delete(_FILE)


def state_of(landing: Landing, where: str) -> str:
    """Changes with what landed, what was said, who was found, and the stores that follow; listings, no row read."""
    storage = landing.storage
    folder, _slash, name = REGISTRY.rpartition("/")
    told = [
        storage.versions(IMAGES),
        storage.versions(EVENTS),
        storage.versions(IDENTITIES.name),
        storage.versions(folder).get(name),
        where,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

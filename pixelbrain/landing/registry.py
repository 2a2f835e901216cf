"""The people of an OUT as they are known for life: names, who is hidden, and who became whom."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.parts import write_table
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import FileGoneError

if TYPE_CHECKING:
    from pixelbrain.landing.landing import Landing
    from pixelbrain.storage.base import Storage

#: Relative to OUT.
REGISTRY = "people/people.parquet"

# What programs put round names that are written from right to left, and before texts; nobody sees it
_UNSEEN = dict.fromkeys([0x061C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])


@dataclass(frozen=True, eq=False)
class Registry:
    """Rows of `schema.PERSON_SCHEMA`, ordered by identity_id."""

    table: pa.Table

    @functools.cached_property
    def ids(self) -> list[str]:
        """Of every person that ever was."""
        return self.table["identity_id"].to_pylist()

    @functools.cached_property
    def place(self) -> dict[str, int]:
        """The row of each."""
        return {one: row for row, one in enumerate(self.ids)}

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """identity_id -> name of those that have one."""
        return {one: name for one, name in self.said.items() if name}

    @functools.cached_property
    def said(self) -> dict[str, str]:
        """The same, and "" of those that had one."""
        pairs = zip(self.ids, self.table["name"].to_pylist(), strict=True)
        return {one: name for one, name in pairs if name is not None}

    @functools.cached_property
    def hidden(self) -> frozenset[str]:
        """Who is not shown unless asked for."""
        pairs = zip(self.ids, self.table["hidden"].to_pylist(), strict=True)
        return frozenset(one for one, hidden in pairs if hidden)

    @functools.cached_property
    def redirects(self) -> dict[str, str]:
        """identity_id -> who it became, one step."""
        pairs = zip(self.ids, self.table["redirected_to"].to_pylist(), strict=True)
        return {one: other for one, other in pairs if other}

    def current(self, identity_id: str) -> str:
        """Who a person is now."""
        seen = {identity_id}
        while (following := self.redirects.get(identity_id)) and following not in seen:
            seen.add(following)
            identity_id = following
        return identity_id

    def named(self, name: str) -> list[str]:
        """The ids of all who are called so now; if nobody is, of those whose name differs in capitals alone."""
        there = [(who, plain(its)) for who, its in self.names.items() if self.current(who) == who]
        name = plain(name)
        return [who for who, its in there if its == name] or [
            who for who, its in there if its.casefold() == name.casefold()
        ]

    def called(self, ids: Iterable[str | None]) -> list[str | None]:
        """The name of each; None where it has none."""
        return [self.names.get(one or "") for one in ids]


def plain(name: str) -> str:
    """The same for all ways to write a name: é as one letter or, as on Macs, as two; spaces and marks of direction."""
    return " ".join(unicodedata.normalize("NFC", name.translate(_UNSEEN)).split())


def read_registry(storage: Storage, *, sums: bool = False) -> Registry:
    """The people of OUT; none before `pixelbrain identify`, or where an older version ran it. Raises `LandingError`.

    `sums`: also their sum vectors, which are most of the bytes.
    """
    names = [name for name in schema.PERSON_SCHEMA.names if sums or name != "sum"]
    try:
        with storage.open_parquet(REGISTRY) as file:
            table = file.read(columns=names).replace_schema_metadata(None)
    except FileGoneError:
        table = schema.PERSON_SCHEMA.empty_table().select(names)
    return Registry(table)


def write_registry(landing: Landing, table: pa.Table) -> None:
    """Replace the people of OUT: rows of `schema.PERSON_SCHEMA`. Raises `OutLockedError`."""
    with RunLock(landing.storage, what="people"):
        write_table(landing.storage, REGISTRY, table.cast(schema.PERSON_SCHEMA).sort_by("identity_id"))

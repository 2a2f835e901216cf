"""Sequences that are not in memory: items in a temporary file, 8 bytes of memory each, and choices of them."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np

S = TypeVar("S")
T = TypeVar("T")


class Spool(Generic[T]):
    """Items in the order in which they came; each look at one makes it anew.

    Args:
        folder: where the temporary file is made, which has no name there and ends with this object.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (as long as this object)
        weakref.finalize(self, self._file.close)
        self._ends = array("Q", [0])

    def append(self, item: T) -> None:
        """Keep one more."""
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._ends[-1])
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> T:
        self._file.seek(self._ends[place])
        return pickle.loads(self._file.read(self._ends[place + 1] - self._ends[place]))


class Picked(Sequence[T]):
    """Some items of a source, each made when it is looked at; a slice of it is a list.

    Args:
        make: a place to an item.
        places: integers (n,).
    """

    def __init__(self, make: Callable[[int], T], places: np.ndarray) -> None:
        self._make, self._places = make, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        chosen = self._places[index]
        return [self._make(int(place)) for place in chosen] if isinstance(index, slice) else self._make(int(chosen))

    def __iter__(self) -> Iterator[T]:
        return (self._make(int(place)) for place in self._places)


def largest_first(names: Sequence[str], codes: np.ndarray, key: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Names with the places of their members, those of most members first; of each, the members by `key`.

    Args:
        names: what the codes mean.
        codes: integers (n,), of each place; -1 is no name.
        key: numbers (n,); among equals, the order stays.
    """
    order = np.lexsort((key, codes))
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    found = [(name, order[a:b]) for name, a, b in zip(names, bounds, bounds[1:], strict=False) if b > a]
    return sorted(found, key=lambda one: (-len(one[1]), one[0]))

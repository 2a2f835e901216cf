"""What answers and modules said that has few values, to be chosen from a list: the photos of each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Values of a field that are a list to choose from; a caption has more.
MOST = 200
_LONGEST = 80  # letters


@dataclass(frozen=True, eq=False)
class Facet:
    """One field: pairs of a photo and a value. An image has several of a list, as of tags."""

    values: list[str]
    code: np.ndarray  # int32 (p,), of `values`
    of: np.ndarray  # int64 (p,), the image

    def mask(self, value: str, n: int) -> np.ndarray:
        """bool (n,): the images with this value."""
        found = np.zeros(n, bool)
        if value in self.values:
            found[self.of[self.code == self.values.index(value)]] = True
        return found

    def counts(self, mask: np.ndarray) -> list[tuple[str, int]]:
        """The values that images of the mask have, the most frequent first, and of how many."""
        counts = np.bincount(self.code[mask[self.of]], minlength=len(self.values))
        found = [(value, int(n)) for value, n in zip(self.values, counts, strict=True) if n]
        return sorted(found, key=lambda one: (-one[1], one[0]))


class Gathered:
    """A field of several tables, put together."""

    def __init__(self) -> None:
        self._values: list[pa.Array] = []
        self._of: list[np.ndarray] = []
        self.few = True

    def add(self, column: pa.Array, start: int) -> None:
        """The column of one table, whose first image is the one at `start`."""
        of = np.arange(len(column))
        if pa.types.is_list(column.type):
            of, column = np.asarray(pc.list_parent_indices(column), np.int64), pc.list_flatten(column)
        there = np.asarray(pc.is_valid(column))
        texts = _as_text(column.filter(pa.array(there)))
        if self.few and len(texts):
            self.few = pc.count_distinct(texts).as_py() <= MOST and pc.max(pc.utf8_length(texts)).as_py() <= _LONGEST
            self._values.append(texts)
            self._of.append(of[there] + start)
        if not self.few:
            self._values, self._of = [], []

    def facet(self, place: np.ndarray) -> Facet:
        """What all say together. place: int64 (n,), which image each row is."""
        texts = pa.chunked_array(self._values, pa.string()).combine_chunks().dictionary_encode()
        of = np.concatenate([np.empty(0, np.int64), *self._of])
        values = texts.dictionary.to_pylist()
        if len(values) > MOST:
            return Facet([], np.empty(0, np.int32), np.empty(0, np.int64))
        pairs = np.unique(np.stack([place[of], np.asarray(texts.indices, np.int64)], axis=1), axis=0)
        return Facet(values, pairs[:, 1].astype(np.int32), pairs[:, 0])


def is_of_names(kind: pa.DataType) -> bool:
    """Whether values of this type may be a list to choose from."""
    if pa.types.is_list(kind):
        return pa.types.is_string(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)


def _as_text(column: pa.Array) -> pa.Array:
    return pc.if_else(column, "yes", "no") if pa.types.is_boolean(column.type) else column.cast(pa.string())

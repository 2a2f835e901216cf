"""Which ids were seen: 8 bytes each in a temporary file, so that a table of any length can be remembered."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pixelbrain.landing.digests import digest_versions


class IdLedger:
    """A set of ids on disk. Write first (`add`), then ask (`count`, `holds`)."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="pixelbrain-ids-")  # noqa: SIM115  (closed by the next line)
        weakref.finalize(self, self._file.close)  # nobody else has it: it goes with the ledger
        self._sorted: np.ndarray | None = None

    def add(self, ids: Iterable[str]) -> None:
        """Remember ids; twice is once."""
        self._sorted = None
        self._file.seek(0, 2)
        self._file.write(_hashes(ids).tobytes())

    def count(self) -> int:
        """Distinct ids."""
        found = self._sort()
        return 0 if len(found) == 0 else 1 + int(np.count_nonzero(found[1:] != found[:-1]))

    def holds(self, ids: Iterable[str]) -> np.ndarray:
        """bool (n,): whether each of `ids` was added."""
        found, wanted = self._sort(), _hashes(ids)
        if len(found) == 0:
            return np.zeros(len(wanted), bool)
        place = np.minimum(np.searchsorted(found, wanted), len(found) - 1)
        return found[place] == wanted

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that were not added."""
        return [one for one, known in zip(ids, self.holds(ids), strict=True) if not known]

    def _sort(self) -> np.ndarray:
        if self._sorted is None:
            self._file.flush()
            if self._file.seek(0, 2) == 0:  # an empty file cannot be mapped
                return np.empty(0, "<u8")
            # sorted in place, in the file: the pages are the system's cache, not this process's memory
            self._sorted = np.memmap(self._file, dtype="<u8", mode="r+")
            self._sorted.sort()
        return self._sorted


def _hashes(ids: Iterable[str]) -> np.ndarray:
    """uint64 (n,): 64 bits of each id's BLAKE2b. Two of 10^8 ids collide with probability 3e-4."""
    return digest_versions(pa.array(list(ids), pa.string()))

"""What a write to a store did, whichever store it was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WriteResult:
    """What a bulk write did."""

    written: int = 0  # new or changed
    unchanged: int = 0
    errors: tuple[tuple[str, str], ...] = ()  # (id, why it was refused)

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(
            written=self.written + other.written,
            unchanged=self.unchanged + other.unchanged,
            errors=self.errors + other.errors,
        )

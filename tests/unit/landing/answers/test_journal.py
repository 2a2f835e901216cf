"""Journals of answers: lines that outlive their process, on a disk and in a storage that cannot be appended to."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pixelbrain.errors import LandingError
from pixelbrain.landing.answers import journal as module
from pixelbrain.landing.answers.journal import journal_names, open_journal, read_journal, unpack_types
from pixelbrain.storage.base import FileGoneError
from pixelbrain.storage.local import LocalStorage

TYPES = {"tags": pa.list_(pa.string())}


class Elsewhere(LocalStorage):
    """A storage that cannot be appended to, as one in S3."""

    is_local = False
    refuses = False

    def write(self, name: str, data: bytes) -> None:
        if self.refuses:
            raise LandingError("no connection")
        super().write(name, data)


def read(storage: LocalStorage) -> list[dict]:
    records = [record for name in journal_names(storage) for record in read_journal(storage, name)]
    assert all(unpack_types(record) == TYPES for record in records if "types" in record)
    return [record for record in records if "types" not in record]


@pytest.mark.parametrize("kind", [LocalStorage, Elsewhere])
def test_what_was_flushed_is_there_for_others(tmp_path: Path, kind: type[LocalStorage]) -> None:
    storage = kind(tmp_path)
    journal = open_journal(storage, "w", TYPES)
    journal.append({"n": 1}, {"n": 2})
    journal.flush()
    assert read(storage) == [{"n": 1}, {"n": 2}]
    journal.append({"n": 3})
    journal.close()
    again = open_journal(storage, "w", TYPES)
    again.append({"n": 4})
    again.close()
    assert read(storage) == [{"n": number} for number in (1, 2, 3, 4)]


def test_segments_go_out_by_themselves_after_a_while_or_when_they_are_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEGMENT_RECORDS", 3)
    storage = Elsewhere(tmp_path)
    journal = open_journal(storage, "w", TYPES)
    journal.append(*({"n": number} for number in range(3)))
    for _ in range(200):
        if (found := read(storage)) or journal._thread.join(0.01):  # type: ignore[attr-defined]
            break
    assert len(found) == 3
    journal.close()


def test_a_segment_that_could_not_be_written_is_kept_and_its_failure_told(tmp_path: Path) -> None:
    storage = Elsewhere(tmp_path)
    journal = open_journal(storage, "w", TYPES)
    journal.append({"n": 1})
    storage.refuses = True
    with pytest.raises(LandingError, match="no connection"):
        journal.flush()
    storage.refuses = False
    journal.append({"n": 2})
    journal.close()
    assert read(storage) == [{"n": 1}, {"n": 2}]


def test_a_journal_that_was_folded_meanwhile_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileGoneError, match="run the same command again"):
        list(read_journal(LocalStorage(tmp_path), "answers/journal/x.jsonl"))

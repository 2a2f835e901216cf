"""Compacting changes the files, and nothing that a reader sees."""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest

from pixelbrain.errors import OutLockedError
from pixelbrain.landing.compact import compact
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.remaining import Remaining
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.local import LocalStorage
from tests.unit.landing.histories import MODULES, History, Row, land, manifest, read_all, state

WANTED = {name: state(name).settings_hash for name in MODULES}


def files(landing: Landing) -> dict[str, bytes]:
    folder = landing.storage.local / "images"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("_round", range(6))
def test_any_history_reads_the_same_afterwards(tmp_path, monkeypatch, _round):
    monkeypatch.setattr("pixelbrain.landing.compact.TARGET_ROWS", 20)  # as if files were large
    monkeypatch.setattr("pixelbrain.landing.compact._SMALL_ROWS", 10)
    seed = random.randrange(2**32)
    print("seed", seed)
    history = History(Landing(tmp_path), random.Random(seed), images=40)
    landing, expected = history.landing, history.expected()
    listing = manifest([(name, version) for name, (version, _status, _values) in expected.items()])
    before = Remaining(landing, WANTED).split(listing)
    report = compact(landing)
    assert read_all(landing) == expected
    assert report.rows == len(expected) == sum(part.rows for part in landing.parts)  # nothing dead is left
    assert report.files_after == len(landing.parts) == len(files(landing))
    assert report.bytes_after == sum(map(len, files(landing).values()))
    after = Remaining(landing, WANTED).split(listing)
    assert {k: sorted(t["image_id"].to_pylist()) for k, t in after.items()} == {
        k: sorted(t["image_id"].to_pylist()) for k, t in before.items()
    }
    found = files(landing)
    again = compact(landing)
    assert files(landing) == found and again.files_before == again.files_after
    assert again.bytes_before == report.bytes_after


def test_small_files_become_large_ones_in_the_order_of_the_listing(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.compact.TARGET_ROWS", 50)
    monkeypatch.setattr("pixelbrain.landing.compact._SMALL_ROWS", 25)
    landing = Landing(tmp_path)
    names = [f"{number:03d}" for number in range(120)]
    for block in range(40):
        chosen = [Row(image_id=name, values={"size": 1}) for name in names[block * 3 : block * 3 + 3]]
        land(landing, chosen, 1, {"size": 1}, block=block)
    told: list[tuple[int, int]] = []
    report = compact(landing, progress=lambda done, total: told.append((done, total)))
    assert (report.files_before, report.files_after, report.rows) == (40, 3, 120)
    assert [part.rows for part in landing.parts] == [50, 50, 20] and told[-1] == (120, 120)
    assert landing.index.image_id.to_pylist() == names and report.bytes_after < report.bytes_before
    land(landing, [Row(image_id="new", values={"size": 1})], 9, {"size": 1})
    large = sorted(files(landing))[:2]
    landing.refresh()
    assert compact(landing).files_after == 3
    assert sorted(files(landing))[:2] == large  # only the small ones are written again
    assert landing.index.image_id.to_pylist() == [*names, "new"]


def test_large_rows_fill_a_file_before_many_rows_do(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.compact.TARGET_BYTES", 1000)
    landing = Landing(tmp_path)
    for block in range(4):
        chosen = [Row(image_id=f"{block}-{i}", values={"colour": i}) for i in range(50)]
        land(landing, chosen, 1, {"colour": 1}, block=block)
    assert 4 < compact(landing).files_after < 40 and landing.count_images() == 200


def test_a_tombstone_goes_when_nothing_is_left_to_hide(tmp_path):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id=name, values={"size": 1}) for name in "abc"], 1, {"size": 1})
    land(landing, [Row(image_id="b", status="pruned")], 2, {})
    assert compact(landing).rows == 2 and sorted(read_all(landing)) == ["a", "c"]
    assert [part.rows for part in landing.parts] == [2]
    land(landing, [Row(image_id=name, status="pruned") for name in "ac"], 7, {})
    landing.refresh()
    assert compact(landing).files_after == 0 and read_all(landing) == {} and files(landing) == {}


def test_columns_that_came_later_join_their_images(tmp_path):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id=name, values={"colour": 3}) for name in "abc"], 1, {"colour": 1})
    land(landing, [Row(image_id=name, values={"size": 5}) for name in "ca"], 2, {"size": 1})
    landing.refresh()
    expected, order = read_all(landing), landing.index.image_id.to_pylist()
    compact(landing)
    assert read_all(landing) == expected and order == landing.index.image_id.to_pylist() == ["b", "c", "a"]
    assert sorted(sorted(part.modules) for part in landing.parts) == [["colour"], ["colour", "size"]]


def test_old_temporary_files_go_and_new_ones_stay(tmp_path):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id="a")], 1, {})
    old, new = (tmp_path / "images" / f".part-{n}.parquet.1-aa.tmp" for n in "12")
    for path in (old, new):
        path.write_bytes(b"half of a fi")
    os.utime(old, (time.time() - 90_000,) * 2)
    compact(landing)
    assert not old.exists() and new.exists()


class StoppingStorage(LocalStorage):
    """A storage that works for so many changes and then stops, as if the process were killed."""

    def __init__(self, folder, steps: int) -> None:
        super().__init__(folder)
        self.steps = steps

    def _step(self, name: str) -> None:
        if name.startswith("images/"):
            if self.steps == 0:
                raise KeyboardInterrupt
            self.steps -= 1

    def write_with(self, name, fill):
        self._step(name)
        super().write_with(name, fill)

    def delete(self, name):
        self._step(name)
        super().delete(name)


def test_stopped_after_any_step_it_loses_and_doubles_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.compact.TARGET_ROWS", 10)
    monkeypatch.setattr("pixelbrain.landing.compact._SMALL_ROWS", 5)
    # files are removed in the order of their names, so that each step is a state of its own
    monkeypatch.setattr("pixelbrain.landing.parts._THREADS", {True: 1})
    seed = random.randrange(2**32)
    print("seed", seed)
    history = History(Landing(tmp_path / "out"), random.Random(seed), images=16, runs=5)
    expected = history.expected()
    for steps in range(200):
        out = tmp_path / f"{steps}"
        shutil.copytree(tmp_path / "out", out)
        try:
            compact(Landing(StoppingStorage(out, steps)))
            stopped = False
        except KeyboardInterrupt:
            stopped = True
        assert read_all(Landing(out)) == expected, steps
        finished = compact(Landing(out))
        assert read_all(Landing(out)) == expected and finished.rows == len(expected)
        assert sum(part.rows for part in Landing(out).parts) == len(expected)
        if not stopped:
            break
    assert 5 < steps < 199


def test_nothing_landed(tmp_path):
    report = compact(Landing(tmp_path))
    assert (report.files_before, report.files_after, report.rows, report.bytes_after) == (0, 0, 0, 0)


def test_not_while_another_run_is_at_work(tmp_path, another_run):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id="a")], 1, {})
    land(landing, [Row(image_id="b")], 2, {})
    with another_run(tmp_path), pytest.raises(OutLockedError, match="in use by process"):
        compact(landing)
    assert compact(landing).files_after == 1


class NotingStorage(LocalStorage):
    """A storage that notes what is done to part files, when it is done; that of generation 2 takes its time."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.done: list[tuple[str, int]] = []  # what, and the generation of the file

    def write_with(self, name, fill):
        super().write_with(name, fill)
        self._note("write", name)

    def delete(self, name):
        time.sleep(0.2 if "part-000002" in name else 0)
        super().delete(name)
        self._note("delete", name)

    def _note(self, what: str, name: str) -> None:
        if name.startswith("images/"):
            self.done.append((what, int(name.split("-")[1])))


def test_old_files_go_when_the_new_ones_are_there_and_the_oldest_generation_goes_first(tmp_path):
    landing = Landing(tmp_path)
    for generation in range(1, 9):  # each with settings of its own, so that none is merged with another
        chosen = [Row(image_id=f"{generation}-{i}", values={"size": 1}) for i in range(2)]
        land(landing, chosen, generation, {"size": generation})
    land(landing, [Row(image_id="2-0", status="pruned")], 9, {})
    storage = NotingStorage(tmp_path)
    assert compact(Landing(storage)).rows == 15
    # the tombstone last, whatever time its rows take; a set of the files' numbers, {1, 8}, has it first
    assert storage.done == [("write", 10), ("delete", 2), ("delete", 9)]


def test_who_lost_the_lock_removes_nothing(tmp_path, monkeypatch):
    landing = Landing(tmp_path)
    for generation in (1, 2):
        land(landing, [Row(image_id=f"{generation}")], generation, {})
    before = files(landing)
    monkeypatch.setattr(RunLock, "lost", property(lambda lock: len(files(landing)) > len(before)))  # while it writes
    with pytest.raises(OutLockedError, match="took .* over: nothing was removed; compact it again"):
        compact(landing)
    assert before.items() < files(landing).items()
    monkeypatch.undo()
    assert sorted(read_all(landing)) == ["1", "2"]

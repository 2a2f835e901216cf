"""Part files are opened once a pass, whatever is asked of them, and few are open at a time."""

from __future__ import annotations

import collections
import os
import random

import numpy as np
import pytest

from pixelbrain.landing.landing import Landing
from pixelbrain.landing.reader import Layer, read_layers, scan_columns
from pixelbrain.landing.remaining import Remaining
from pixelbrain.storage.local import LocalStorage
from tests.unit.landing.histories import MODULES, History, Row, land, manifest, read_all, state
from tests.waiting import wait_for


@pytest.fixture
def opens(monkeypatch) -> collections.Counter[str]:
    """How often each file was opened."""
    counted: collections.Counter[str] = collections.Counter()
    real = LocalStorage.parquet_file

    def open_counted(storage, name, version=None):
        counted[name] += name.startswith("images/")
        return real(storage, name, version)

    monkeypatch.setattr(LocalStorage, "parquet_file", open_counted)
    return counted


def landed(folder, *, files: int = 5, rows: int = 4) -> Landing:
    """`files` part files of two modules, images in the order of their names."""
    landing = Landing(folder)
    for block in range(files):
        chosen = [Row(image_id=f"{block:02d}-{i:04d}", values={"colour": i, "size": block}) for i in range(rows)]
        land(landing, chosen, 1, {"colour": 1, "size": 1}, block=block)
    return landing


def of_each(opens: collections.Counter[str]) -> set[int]:
    """How often the files were opened since the last call, each the same number of times."""
    found = set(opens.values())
    opens.clear()
    return found


def test_a_run_with_nothing_to_do_opens_each_file_once_a_pass(tmp_path, opens):
    names = [row for table in landed(tmp_path).iter_images() for row in table["image_id"].to_pylist()]
    opens.clear()
    landing = Landing(tmp_path)
    assert landing.set_aside_broken() == [] and landing.set_aside_broken() == []
    assert of_each(opens) == {1}  # the second call knows their ids
    wanted = {name: state(name).settings_hash for name in MODULES}
    assert Remaining(landing, wanted).split(manifest([(name, "1") for name in names])) == {}
    assert of_each(opens) == {1}
    for _ in range(3):
        landing.refresh()
        assert len(landing.parts) == 5 and landing.count_images() == 20 and landing.models()
    assert of_each(opens) == {1}  # by the index, once
    for vectors in (True, False):  # load, then status
        assert sum(map(len, landing.iter_images(vectors=vectors, batch_rows=3))) == 20
        assert of_each(opens) == {1}


def test_what_landed_since_is_read_and_the_rest_is_not_looked_for_again(tmp_path, opens):
    landing = landed(tmp_path)
    assert landing.count_images() == 20
    opens.clear()
    land(landing, [Row(image_id="new")], 2, {})
    landing.refresh()
    assert len(landing.parts) == 6 and list(opens.values()) == [1]
    assert landing.count_images() == 21


def test_a_block_that_was_landed_again_is_read_again(tmp_path):
    landing = landed(tmp_path, files=1)
    assert read_all(landing)["00-0001"][2]["size"] == 0
    land(landing, [Row(image_id=f"00-{i:04d}", values={"size": 7}) for i in range(4)], 1, {"size": 1})
    assert read_all(landing)["00-0001"][2] == {"size": 7}


def open_files(folder) -> int:
    """How many part files this process has open."""
    links = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return sum(link.startswith(f"{folder}/images/") for link in links)


def test_few_files_are_open_at_a_time_and_none_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.landing.reader._OPEN_FILES", {True: 3})
    tables = landed(tmp_path, files=9).iter_images(batch_rows=4)
    found = [open_files(tmp_path) for _ in zip(range(7), tables, strict=False)]
    assert min(found) >= 1 and max(found) <= 5  # and two that are being read
    tables.close()
    wait_for(lambda: open_files(tmp_path) == 0)  # a thread may be reading one to its end
    tables = Landing(tmp_path).iter_images()
    assert len(next(tables)) == 36 and open_files(tmp_path) <= 5  # of one table of all files, likewise
    tables.close()
    wait_for(lambda: open_files(tmp_path) == 0)


def test_a_pass_holds_few_tables(tmp_path):
    landing = landed(tmp_path, files=20)
    asked = []

    def batches():
        for number in range(20):
            asked.append(number)
            yield landing.index.layers(np.arange(number * 4, number * 4 + 4), ["size"])

    tables = read_layers(landing.parts, batches())
    assert next(tables)["size"].to_pylist() and len(asked) == 2
    assert len(list(tables)) == 19 and len(asked) == 20


def test_rows_of_any_order_and_of_no_part(tmp_path):
    landing = landed(tmp_path, files=3, rows=1500)  # in two row groups each
    rng = np.random.default_rng(3)
    part, row = rng.integers(-1, 3, 200), rng.integers(0, 1500, 200)
    (table,) = read_layers(landing.parts, [[Layer(columns=["image_id", "size"], part=part, row=row)]])
    expected = [f"{p:02d}-{r:04d}" if p >= 0 else None for p, r in zip(part, row, strict=True)]
    assert table["image_id"].to_pylist() == expected
    assert [size and size["n"] for size in table["size"].to_pylist()] == [p if p >= 0 else None for p in part]


def test_only_the_row_groups_that_are_asked_for_are_read(tmp_path, monkeypatch):
    landing = landed(tmp_path, files=1, rows=2500)
    asked = []
    real = LocalStorage.parquet_file

    def note(storage, name, version=None):
        file = real(storage, name, version)
        read = file.read_row_groups
        file.read_row_groups = lambda groups, columns: (asked.append((groups, columns)), read(groups, columns))[1]
        return file

    assert landing.index
    monkeypatch.setattr(LocalStorage, "parquet_file", note)
    next(read_layers(landing.parts, [landing.index.layers(np.array([2400, 7]), ["colour"])], vectors=False))
    ((groups, columns),) = asked
    assert groups == [0, 2] and "colour.red" in columns and "colour.embedding" not in columns


def test_a_scan_keeps_the_order(tmp_path):
    landing = landed(tmp_path)
    parts = random.Random(1).sample(landing.parts, 5)
    found = list(scan_columns(parts, lambda part: ["image_id"]))
    assert [part.name for part, _table in found] == [part.name for part in parts]
    assert [table["image_id"][0].as_py()[:2] for _part, table in found] == [part.name[-14:-12] for part in parts]


def test_a_random_past_in_small_batches(tmp_path):
    history = History(Landing(tmp_path), random.Random(11))
    whole = [row for table in history.landing.iter_images() for row in table.to_pylist()]
    small = [row for table in history.landing.iter_images(batch_rows=2) for row in table.to_pylist()]
    assert whole == small and len(whole) == len(history.expected())

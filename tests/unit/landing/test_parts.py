"""Part files are listed with what they say of themselves, which is read once a process."""

from __future__ import annotations

import os

import pytest

from pixelbrain.landing import parts as parts_file
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import claim_generation, list_parts
from tests.unit.landing.histories import Row, land, state


def test_a_part_says_what_wrote_it(tmp_path):
    landing = Landing(tmp_path)
    land(landing, [Row(image_id=name, values={"size": 1}) for name in "abc"], 12, {"size": 3}, block=4)
    (part,) = list_parts(landing.storage).parts
    assert (part.name, part.generation, part.rows) == ("images/part-000012-00000004-000.parquet", 12, 3)
    assert part.modules == {"size": state("size", 3)}


def test_parts_come_by_number_and_not_by_name(tmp_path):
    landing = Landing(tmp_path)
    names = []
    for generation, piece in ((3, 0), (2, 1000), (2, 999)):
        names.append(landing.write_part(_rows(tmp_path), generation=generation, block=0, piece=piece, modules={}))
    assert [part.name for part in list_parts(landing.storage).parts] == names[::-1]


def _rows(folder):
    other = Landing(folder / "other")
    land(other, [Row(image_id="a")], 1, {})
    with other.parts[0].open() as file:
        return file.read()


def test_footers_are_read_once_and_ids_when_they_are_to_be_checked(tmp_path, monkeypatch):
    landing = Landing(tmp_path)
    for block in range(3):
        land(landing, [Row(image_id=f"{block}")], 1, {}, block=block)
    opened = []
    real = parts_file._open
    monkeypatch.setattr(parts_file, "_open", lambda *given: (opened.append(given[1:]), real(*given))[1])
    for check_ids, times in ((False, 3), (False, 0), (True, 3), (True, 0), (False, 0)):
        assert len(list_parts(landing.storage, check_ids=check_ids).parts) == 3
        assert len(opened) == times, check_ids
        opened.clear()
    path = tmp_path / "images" / "part-000001-00000001-000.parquet"
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))  # of a coarse clock, the next tick
    assert list_parts(landing.storage, check_ids=True).broken.keys() == {f"images/{path.name}"} and len(opened) == 1


def test_what_is_known_is_bounded(tmp_path, monkeypatch):
    landing = Landing(tmp_path)
    monkeypatch.setattr(parts_file, "_MOST_KNOWN", 2)
    for block in range(8):
        land(landing, [Row(image_id=f"{block}")], 1, {}, block=block)
        assert len(list_parts(landing.storage).parts) == block + 1
    assert len(parts_file._known) == 8  # those of the last listing, and no others of this process


@pytest.mark.parametrize("latest", ["landed", "broken", "claimed"])
def test_a_generation_is_claimed_once_and_is_greater_than_all(tmp_path, latest):
    landing = Landing(tmp_path)
    assert claim_generation(landing.storage) == 1
    if latest == "landed":
        land(landing, [Row(image_id="z")], 9, {})
    elif latest == "broken":
        landing.storage.write("images/part-000009-00000000-000.parquet", b"nothing")
    else:
        landing.storage.write("work/generation", b"9")
    assert [claim_generation(landing.storage) for _ in range(3)] == [10, 11, 12]

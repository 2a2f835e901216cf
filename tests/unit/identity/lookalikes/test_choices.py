"""What somebody chose among duplicates: it holds over every rerun, two who choose lose nothing, and one photo stays."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.identity.lookalikes.duplicates import find_duplicates
from pixelbrain.landing.duplicates.choices import CHOICES, ChoiceLog, PhotoRef
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.forgotten.erase import erase
from pixelbrain.landing.forgotten.marks import Mark, write_mark
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.remaining import prune
from pixelbrain.report.export import export, export_paths
from tests.unit.identity.lookalikes.test_duplicates import BASE, OTHER, land, photo  # noqa: F401  (land: a fixture)


def refs(landing: Landing, *names: str) -> list[PhotoRef]:
    rows = {
        row["image_id"]: PhotoRef(**{name: row[name] for name in ("image_id", "version", "sha256")})
        for table in landing.iter_images([])
        for row in table.to_pylist()
    }
    return [rows[f"file:///{name}"] for name in names]


def choose(landing: Landing, kind, *names: str):
    return ChoiceLog(landing.storage).choose(kind, refs(landing, *names))


def proposed(landing: Landing) -> dict[str, str]:
    """Of each photo in a group, k(eep) or d(rop), and what was chosen."""
    return {
        row["image_id"].removeprefix("file:///"): "kd"[not row["keep"]] + (f" {row['chosen']}" if row["chosen"] else "")
        for row in read_duplicates(landing).to_pylist()
    }


@pytest.fixture
def three(land) -> Landing:  # noqa: F811
    landing = land(
        photo("a.jpg", size=(800, 600)), photo("b.jpg", BASE ^ 1), photo("c.jpg", BASE ^ 3, size=(200, 150)),
        photo("x.jpg", OTHER), photo("y.jpg", OTHER ^ 1, size=(200, 150)), photo("z.jpg", OTHER ^ 0xFFFF_FFFF),
    )  # fmt: skip
    find_duplicates(landing)
    assert proposed(landing) == {"a.jpg": "k", "b.jpg": "d", "c.jpg": "d", "x.jpg": "k", "y.jpg": "d"}
    return landing


def test_another_best_is_chosen_and_the_export_says_so(three, tmp_path):
    choose(three, "best", "b.jpg", "a.jpg", "c.jpg")
    rows = {row["image_id"][8:]: row for row in read_duplicates(three).to_pylist()}
    assert {name: (row["keep"], row["chosen"]) for name, row in rows.items() if name < "d"} == {
        "a.jpg": (False, None), "b.jpg": (True, "best"), "c.jpg": (False, None)
    }  # fmt: skip
    told = [(rows[name]["kind"], rows[name]["copy_of"], rows[name]["why"]) for name in ("a.jpg", "b.jpg")]
    assert told == [
        ("near", "file:///b.jpg", "another one was chosen as the best"), (None, None, "chosen as the best")
    ]  # fmt: skip
    export(three, tmp_path / "d.csv", "duplicates")
    lines = (tmp_path / "d.csv").read_text().splitlines()
    assert lines[0].endswith(",bytes,chosen")
    assert [line for line in lines if line.endswith(',"best"') and '"keep","file:///b.jpg"' in line]


def test_what_was_chosen_holds_over_a_rerun_and_can_be_taken_back(three):
    choose(three, "keep", "c.jpg")
    choose(three, "drop", "a.jpg")  # then the one that is nearest to it, of those that are kept
    now = {"a.jpg": "d drop", "b.jpg": "d", "c.jpg": "k keep", "x.jpg": "k", "y.jpg": "d"}
    assert proposed(three) == now
    report = find_duplicates(three)
    assert proposed(three) == now and (report.chosen, report.drop) == (2, 3)
    undone = ChoiceLog(three.storage).undo(1)
    assert proposed(three) == now | {"b.jpg": "k", "c.jpg": "d"}
    assert ChoiceLog(three.storage).undo(undone.number).number == 4 and proposed(three) == now
    for wrong in (1 + undone.number + 9, undone.number):
        with pytest.raises(ConfigError, match="choice"):
            ChoiceLog(three.storage).undo(wrong)


def test_nobody_drops_the_last_one(three):
    choose(three, "drop", "a.jpg", "b.jpg", "c.jpg")
    assert proposed(three) == {"a.jpg": "k", "b.jpg": "d drop", "c.jpg": "d drop", "x.jpg": "k", "y.jpg": "d"}
    ChoiceLog(three.storage).undo(1)
    choose(three, "best", "b.jpg", "a.jpg", "c.jpg")
    prune(three, pa.table({"image_id": ["file:///b.jpg"], "version": ["1"]}))
    three.refresh()
    assert proposed(three)["a.jpg"] == "k"  # what was better than it is gone


def test_a_group_that_is_none(three, land):  # noqa: F811
    number = choose(three, "apart", "a.jpg", "b.jpg", "c.jpg").number
    left = {"x.jpg": "k", "y.jpg": "d"}
    assert proposed(three) == left
    find_duplicates(three)
    assert proposed(three) == left
    land(photo("new of b.jpg", BASE ^ 1, size=(100, 75)))  # is a copy of all three
    three.refresh()
    find_duplicates(three)
    assert proposed(three) == left | {"a.jpg": "k", "new of b.jpg": "d"}
    ChoiceLog(three.storage).undo(number)
    find_duplicates(three)
    assert proposed(three)["b.jpg"] == "d"


def test_of_a_group_that_was_found_before_those_that_are_no_duplicates_go(three):
    """At once, without a rerun: c, that is near to b and a, stays with the one that it is not apart from."""
    choose(three, "apart", "a.jpg", "b.jpg")
    names = {row["image_id"][8:]: row["duplicate_id"] for row in read_duplicates(three).to_pylist()}
    before = proposed(three)
    assert "b.jpg" not in names and names["a.jpg"] == names["c.jpg"] and before["c.jpg"] == "d"
    find_duplicates(three)
    assert proposed(three) == before


def test_a_copy_of_what_is_apart_is_one_of_the_other(land):  # noqa: F811
    rows = [photo(name, sha256="same") for name in ("a.jpg", "bb.jpg", "ccc.jpg")]
    landing = land(*rows)
    find_duplicates(landing)
    choose(landing, "apart", "a.jpg", "bb.jpg")
    choose(landing, "apart", "a.jpg", "ccc.jpg")
    find_duplicates(landing)
    assert proposed(landing) == {"bb.jpg": "k", "ccc.jpg": "d"}


def test_a_photo_is_known_by_its_version_and_by_its_bytes(three, land):  # noqa: F811
    choose(three, "keep", "b.jpg")
    choose(three, "keep", "c.jpg")
    moved = photo("moved.jpg", BASE ^ 1, sha256="b.jpg", version="5")
    land(moved, photo("c.jpg", BASE ^ 3, size=(200, 150), version="2", sha256="another one"))
    three.refresh()
    prune(three, pa.table({"image_id": ["file:///b.jpg"], "version": ["1"]}))
    three.refresh()
    find_duplicates(three)
    assert proposed(three) == {"a.jpg": "k", "moved.jpg": "k keep", "c.jpg": "d", "x.jpg": "k", "y.jpg": "d"}


def test_many_who_choose_at_a_time_lose_nothing(three):
    names = ["a.jpg", "b.jpg", "c.jpg", "x.jpg", "y.jpg"] * 6
    wanted = refs(three, *names)
    barrier = threading.Barrier(5)

    def work(some: list[PhotoRef]) -> None:
        log = ChoiceLog(three.storage)
        barrier.wait()
        for one in some:
            log.choose("keep", [one])

    threads = [threading.Thread(target=work, args=(wanted[at::5],)) for at in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found = ChoiceLog(three.storage).read()
    assert [one.number for one in found] == list(range(1, 31))
    assert sorted(one.photos[0].image_id for one in found) == sorted(one.image_id for one in wanted)


def test_a_choice_about_what_is_there_no_more_changes_nothing(three):
    before = proposed(three)
    for kind in ("keep", "drop", "best", "apart"):
        ChoiceLog(three.storage).choose(kind, [PhotoRef(image_id="file:///gone.jpg", version="1", sha256="gone")])
    assert proposed(three) == before


def test_a_file_that_is_no_choice_is_named(three, tmp_path):
    choose(three, "keep", "b.jpg")
    for text, told in (("{", "no choice"), ('{"kind": "eat"}', "later Pixelbrain"), ('{"kind": "keep"', "no choice")):
        (tmp_path / CHOICES / "00000002.json").write_text(text)
        with pytest.raises(LandingError, match=f"00000002.json is .*{told}"):
            read_duplicates(three)


def test_what_is_forgotten_is_in_no_choice(three, tmp_path):
    choose(three, "keep", "b.jpg", "c.jpg")
    choose(three, "best", "b.jpg", "a.jpg")
    write_mark(three.storage, Mark(photos=("b.jpg",)))
    erase(three)
    assert [[one.image_id[8:] for one in choice.photos] for choice in ChoiceLog(three.storage).read()] == [
        ["c.jpg"],
        [],
    ]
    assert not any("b.jpg" in file.read_text() for file in (tmp_path / CHOICES).iterdir())


def test_paths_of_what_is_to_be_dropped_are_for_xargs(three, tmp_path):
    choose(three, "keep", "c.jpg")
    file = tmp_path / "drop.txt"
    assert export_paths(three, file, "duplicates") == 2 and sorted(file.read_text().splitlines()) == [
        "/b.jpg",
        "/y.jpg",
    ]
    assert export_paths(three, file) == 6  # of images: all
    assert export_paths(three, file, "duplicates", end="\0") == 2 and file.read_bytes().count(b"\0") == 2
    with pytest.raises(ConfigError, match="no folder"):
        export_paths(three, tmp_path / "none" / "drop.txt")


def test_a_path_of_two_lines_is_not_taken_for_two(land, tmp_path):  # noqa: F811
    landing = land(photo("a.jpg"), photo("b%0Ac.jpg", size=(200, 150)))
    find_duplicates(landing)
    with pytest.raises(ConfigError, match=r"b\\nc.jpg.*paths0"):
        export_paths(landing, tmp_path / "drop.txt", "duplicates")
    export_paths(landing, tmp_path / "drop.txt", "duplicates", end="\0")
    assert (tmp_path / "drop.txt").read_bytes() == b"/b\nc.jpg\0"

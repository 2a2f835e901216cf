"""Modules that stand on others: in both layouts the same, nothing twice, never beside what is not there any more."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.errors import ConfigError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.published import publish
from pixelbrain.storage.open import open_storage
from tests.unit.engine.standing import LAYOUTS, Above, Bright, Finder, Folder, Fragile, Loud, rows_of, run

WIDTHS = (12, 25, 38, 61)  # none, one and two faces, and one on which the finder fails


@pytest.fixture
def photos(tmp_path, encode):
    folder = tmp_path / "photos"
    folder.mkdir()
    for width in WIDTHS:
        (folder / f"{width}.png").write_bytes(encode("PNG", size=(width, 20)))
    (folder / "broken.jpg").write_bytes(b"none")
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_together_in_any_order_and_layout(photos, tmp_path, monkeypatch, layout):
    modules, options = [Above(), Bright(), Finder()], {"layout": layout, "thumbnails": True}
    report, looked = run(monkeypatch, photos, tmp_path / "out", *modules, **options)
    assert pq.read_table(tmp_path / "out" / "thumbnails")["box"].drop_null().length() == 3  # a face's crop, once
    assert (report.done, report.failed) == (5, 2) and looked == {"facenet": 4, "bright": 2}
    found = rows_of(tmp_path / "out")
    assert [len(found[f"{width}.png"]["bright"]["faces"] or "") for width in WIDTHS] == [0, 1, 2, 0]
    assert found["broken.jpg"]["bright"] is None and found["12.png"]["above"]["share"] == 0
    whose = ("face_id", "x1", "y1", "x2", "y2")
    for row in (found["25.png"], found["38.png"]):
        looks = row["bright"]["faces"]
        assert [[one[n] for n in whose] for one in looks] == [
            [one[n] for n in whose] for one in row["facenet"]["faces"]
        ]
        assert all(0 < one["mean"] < 255 and one["look"] == [one["x1"], 1] for one in looks)
        assert row["above"]["share"] == 1
    failed = found["61.png"]
    assert failed["bright"]["error"] == "faces, which bright requires, failed on this image: 61 is not a width"
    assert failed["above"]["error"].startswith("bright, which above requires, failed on this image: faces, which")
    if layout == "staged":
        run(monkeypatch, photos, tmp_path / "fused", Finder(), Bright(), Above())
        assert rows_of(tmp_path / "fused") == found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_landed_earlier_is_read_and_not_done_again(photos, tmp_path, monkeypatch, encode, layout):
    run(monkeypatch, photos, tmp_path / "together", Finder(), Bright())
    out = tmp_path / "out"
    run(monkeypatch, photos, out, Finder())
    publish(Landing(out))
    _, looked = run(monkeypatch, photos, out, Bright(), layout=layout)
    assert looked == {"bright": 2}
    of_finder = "facenet", "bright"
    found, together = rows_of(out), rows_of(tmp_path / "together")
    assert {n: [r[m] for m in of_finder] for n, r in found.items() if n != "61.png"} == {
        n: [r[m] for m in of_finder] for n, r in together.items() if n != "61.png"
    }
    assert "faces, which bright requires, is not known of this image" in found["61.png"]["bright"]["error"]
    assert run(monkeypatch, photos, out, Bright(), layout=layout)[0].done == 0

    (photos / "25.png").write_bytes(encode("PNG", size=(39, 20)))  # another photo now
    (photos / "38.png").rename(photos / "moved.png")
    (photos / "new.png").write_bytes(encode("PNG", size=(26, 20)))
    report, looked = run(monkeypatch, photos, out, Bright(), Finder(), layout=layout)
    assert report.moved == 1 and looked == {"facenet": 2, "bright": 2}
    found = rows_of(out)
    assert [len(found[n]["bright"]["faces"]) for n in ("25.png", "moved.png", "new.png")] == [2, 2, 1]
    assert all(one["face_id"].rpartition("#")[0].endswith("moved.png") for one in found["moved.png"]["bright"]["faces"])


def test_alone_it_says_of_new_photos_what_is_missing_and_has_it_when_that_has_landed(
    photos, tmp_path, monkeypatch, encode
):
    out = tmp_path / "out"
    run(monkeypatch, photos, out, Finder(), Bright())
    (photos / "new.png").write_bytes(encode("PNG", size=(26, 20)))
    report, looked = run(monkeypatch, photos, out, Bright())
    assert (report.done, report.failed, looked) == (1, 1, {})
    assert "not known of this image: run it, too" in rows_of(out)["new.png"]["bright"]["error"]
    assert run(monkeypatch, photos, out, Finder())[1] == {"facenet": 1}
    assert rows_of(out)["new.png"]["bright"] is None  # it said nothing of what is there now
    assert run(monkeypatch, photos, out, Bright())[1] == {"bright": 1}
    assert len(rows_of(out)["new.png"]["bright"]["faces"]) == 1
    (photos / "newer.png").write_bytes(encode("PNG", size=(27, 20)))
    run(monkeypatch, photos, out, Bright())
    assert run(monkeypatch, photos, out, Finder(), Bright())[1] == {"facenet": 1, "bright": 1}  # its error was landed
    assert len(rows_of(out)["newer.png"]["bright"]["faces"]) == 1


@pytest.mark.parametrize("published", [False, True])
def test_what_is_done_again_takes_along_what_stands_on_it(photos, tmp_path, monkeypatch, published):
    out = tmp_path / "out"
    run(monkeypatch, photos, out, Finder(), Bright(), Above())
    assert run(monkeypatch, photos, out, Finder(), force=True)[1] == {"facenet": 4}
    if published:
        publish(Landing(out))
    assert [row.get("bright") for row in rows_of(out).values()] == [None] * 5  # derived of what was replaced
    assert [row.get("above") for row in rows_of(out).values()] == [None] * 5
    (photos / "25.png").rename(photos / "moved.png")  # nor is it known by its bytes what was said before
    assert run(monkeypatch, photos, out, Above(), Bright())[1] == {"bright": 2}

    report, looked = run(monkeypatch, photos, out, Finder(left=1), Bright(), Above())  # other settings
    assert looked == {"facenet": 4, "bright": 2} and report.done == 5
    assert [one["look"] for one in rows_of(out)["38.png"]["bright"]["faces"]] == [[1, 1], [2, 1]]
    assert run(monkeypatch, photos, out, Finder(left=1), Bright())[0].done == 0
    report, looked = run(monkeypatch, photos, out, Bright(), Finder(left=1), retry_failed=True)
    assert looked == {"facenet": 1} and report.done == 2
    assert run(monkeypatch, photos, out, Bright(), force=True)[1] == {"bright": 2}  # of the faces that are there


def test_what_depends_on_names_is_done_along_and_never_taken_from_a_copy(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    (photos / "copy.png").write_bytes((photos / "12.png").read_bytes())
    run(monkeypatch, photos, out, Folder())
    run(monkeypatch, photos, out, Loud())
    assert all("called, which loud requires, is not known" in row["loud"]["error"] for name, row in rows_of(out).items()
               if name != "broken.jpg")  # fmt: skip
    assert run(monkeypatch, photos, out, Loud(), Folder(), retry_failed=True)[1] == {"folder": 5, "loud": 5}
    (photos / "12.png").rename(photos / "moved.png")
    assert run(monkeypatch, photos, out, Loud(), Folder())[1] == {"folder": 1, "loud": 1}
    said = {name: row["loud"]["called"] for name, row in rows_of(out).items() if row["loud"]}
    assert said == {name: name.upper() for name in said} and len(said) == 5


@pytest.mark.usefixtures("forked")
def test_one_that_a_photo_kills_still_stands_on_what_was_found(photos, tmp_path):
    """Each photo goes through a process of its own then, where the other module does not run."""
    modules, stands_on = [Finder(), Fragile()], {"bright": {"faces": "facenet"}}
    states = {module.name: ModuleState(settings=module.settings(), model=None) for module in modules}
    order = WorkOrder(storage=open_storage(tmp_path / "out"), generation=1, states=states, stands_on=stands_on)
    hashes = {name: state.settings_hash for name, state in states.items()}
    worklist = Worklist(
        loader=DataLoader(str(photos)), storage=order.storage, settings_hashes=hashes, generation=1, stands_on=stands_on
    )
    (block,) = blocks(worklist, 100)
    (chunk,) = Decoder(modules, order, 100)(block)
    chunk = ModelRunner(modules[0], order, ["bright"])(chunk)
    RunNotes(order.storage).begin("bright 0-0")  # and died
    Lander(order)(ModelRunner(modules[1], order, [], wary=True)(chunk))
    found = rows_of(tmp_path / "out")
    assert [len(found[f"{width}.png"]["bright"]["faces"]) for width in (12, 25)] == [0, 1]
    assert "SIGSEGV" in found["38.png"]["bright"]["error"] and len(found["38.png"]["facenet"]["faces"]) == 2
    assert "failed on this image: 61 is not a width" in found["61.png"]["bright"]["error"]


def test_where_nothing_gives_what_is_required_nothing_begins(photos, tmp_path, monkeypatch):
    said = "module bright requires faces, which no module of this run gives, .*run it with --module facenet, too"
    with pytest.raises(ConfigError, match=said):
        run(monkeypatch, photos, tmp_path / "out", Bright())
    assert not (tmp_path / "out").exists()

"""Embedded stores whose files are as a load left them are not opened; others are. No server runs for it."""

from __future__ import annotations

import json
import os

import pytest

from pixelbrain.landing.derived import DERIVED
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import is_untouched, note_untouched
from pixelbrain.stores.load import load
from pixelbrain.stores.load_record import landed_digest
from tests.unit.landed_out import landed  # noqa: F401


class Opened(Exception):
    """A store was."""


def opens(*_: object, **__: object) -> None:
    raise Opened


@pytest.fixture
def left(landed, monkeypatch) -> Database:  # noqa: F811
    """Stores that look as if a load had filled and closed them; to open one is an error."""
    for store in (
        "mongo.embedded.EmbeddedMongo",
        "mongo.connection.EmbeddedMongo",
        "chroma.connection.ChromaConnection",
    ):
        monkeypatch.setattr(f"pixelbrain.stores.{store}", opens)
    monkeypatch.setattr("pixelbrain.stores.chroma.health_process.warm_up", opens)
    landing = Landing(landed)
    counts = {"documents": 7, "images": 0, "faces": 0}
    remembered = {"digest": landed_digest(landing), "counts": counts, "faces": 0, "refused": 0}
    remembered |= {name: table.digest(landing) for name, table in DERIVED.items()}
    for name, text in {
        "mongo/collection.wt": "x",
        "mongo/loaded.json": json.dumps(remembered),
        "chroma/i/d": "y",
    }.items():
        path = landed / "db" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    database = Database(landing, mongo=None, chroma=None)
    note_untouched(database)
    return database


def test_as_they_were_left(left):
    report = load(left.landing, left)
    assert (report.images, report.skipped, report.images_written) == (7, 7, 0)
    with pytest.raises(Opened):
        load(left.landing, left, rebuild=True)


@pytest.mark.parametrize("change", ["mongo/collection.wt", "chroma/i/d", "mongo/loaded.json", "chroma/new", "note"])
def test_whatever_changed_is_looked_at(left, change):
    path = left.landing.storage.local / "db" / ("untouched.json" if change == "note" else change)
    before = path.stat() if path.exists() else None
    if change == "mongo/collection.wt":  # of the same size
        path.write_text("z")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "chroma/new":
        path.touch()
    else:
        path.unlink()
    assert not is_untouched(left)
    with pytest.raises(Opened):
        load(left.landing, left)


def test_what_a_store_refused_is_tried_again_and_what_is_new_is_loaded(left):
    loaded = left.landing.storage.local / "db" / "mongo" / "loaded.json"
    sound = json.loads(loaded.read_text())
    for wrong in ({"refused": 1}, {"digest": "of another"}):
        loaded.write_text(json.dumps(sound | wrong))
        note_untouched(left)
        with pytest.raises(Opened):
            load(left.landing, left)


def test_of_servers_nothing_is_noted(left):
    shared = Database(left.landing, mongo="mongodb://localhost:1/x", chroma=None)
    note_untouched(shared)
    assert not is_untouched(shared) and not is_untouched(left)

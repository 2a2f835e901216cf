"""A damaged ChromaDB: a load notices, says so, and writes it again from Parquet; nothing crashes this process."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pixelbrain.errors import StoreError
from pixelbrain.identity.group import group_images
from pixelbrain.identity.people import PeopleIdentifierModule
from pixelbrain.landing.landing import Landing
from pixelbrain.report.search import search
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.health import Finding, Sample
from pixelbrain.stores.database import Database
from pixelbrain.stores.in_step import store_state
from pixelbrain.stores.load import LoadReport, load
from pixelbrain.stores.verify import verify
from tests.integration.stores.conftest import FACE_MODEL, IMAGE_MODEL, land_rows, make_image

IMAGES = 1_100  # ChromaDB writes its index to disk at 1,000


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, mongod) -> Iterator[tuple[Landing, str, Path]]:
    """A loaded OUT, its MongoDB, and a sound copy of its ChromaDB."""
    out = tmp_path_factory.mktemp("damage") / "out"
    uri = mongod.uri.replace("/?", "/damage?")
    landing = land_rows(out, [make_image(number, faces=int(number < 3)) for number in range(IMAGES)])
    with Database.open(out, mongo=uri) as database:
        assert load(landing, database).rebuilt == ()
    sound = out.with_name("sound")
    shutil.copytree(out / "db" / "chroma", sound)
    assert len(list(sound.glob("*/index_metadata.pickle"))) == 1
    yield landing, uri, sound
    with Database.open(out, mongo=uri) as database:
        database.delete()


@pytest.fixture
def folder(loaded) -> Path:
    """The ChromaDB of the loaded OUT, sound."""
    landing, _uri, sound = loaded
    folder = landing.storage.local / "db" / "chroma"
    shutil.rmtree(folder, ignore_errors=True)
    for aside in folder.parent.glob("chroma.damaged-*"):
        shutil.rmtree(aside)
    shutil.copytree(sound, folder)
    return folder


def _overwrite(path: Path, start: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(data)


def _index(folder: Path, name: str) -> Path:
    """A file of the images' index; the faces' is too small to be on disk."""
    return next(folder.glob("*/index_metadata.pickle")).with_name(name)


INDEX_DAMAGE: dict[str, Callable[[Path], object]] = {
    "vectors cut short": lambda folder: os.truncate(_index(folder, "data_level0.bin"), 5_000),
    "vectors of zeros": lambda folder: _overwrite(_index(folder, "data_level0.bin"), 0, bytes(60_000)),
    "random vectors": lambda folder: _overwrite(
        _index(folder, "data_level0.bin"), 0, np.random.default_rng(0).bytes(150_000)
    ),
    "header cut short": lambda folder: os.truncate(_index(folder, "header.bin"), 10),
    "no header": lambda folder: _index(folder, "header.bin").unlink(),
    "ids cut short": lambda folder: os.truncate(_index(folder, "index_metadata.pickle"), 1_000),
    "no index": lambda folder: shutil.rmtree(_index(folder, "header.bin").parent),
}
FOLDER_DAMAGE: dict[str, Callable[[Path], object]] = {
    "random tables": lambda folder: _overwrite(
        folder / "chroma.sqlite3", 4096, np.random.default_rng(0).bytes(100 * 4096)
    ),
    "tables cut short": lambda folder: os.truncate(folder / "chroma.sqlite3", 100_000),
    "no database": lambda folder: _overwrite(folder / "chroma.sqlite3", 0, b"nonsense" * 512),
}


@pytest.fixture
def stores(loaded) -> Iterator[Database]:
    """The database of the loaded OUT; it opens its ChromaDB when that is first needed."""
    landing, uri, _sound = loaded
    with Database.open(landing.storage.uri, mongo=uri) as database:
        yield database


def _load_damaged(landing: Landing, database: Database, caplog) -> tuple[LoadReport, str]:
    """A load, and the one thing that it wrote again."""
    with caplog.at_level(logging.WARNING):
        report = load(landing, database)
    (line,) = report.rebuilt
    assert line in caplog.text
    return report, line


def _assert_sound(landing: Landing, database: Database) -> None:
    found = verify(landing, database)
    assert found.ok, found.lines()
    assert store_state(landing, database).in_step
    wanted = make_image(700)
    ((match,),) = database.query_vector_field("images", wanted["resnet"]["embedding"], n_results=1)
    assert match.id == wanted["image_id"] and match.distance < 1e-5


@pytest.mark.parametrize("damage", INDEX_DAMAGE.values(), ids=INDEX_DAMAGE)
def test_a_damaged_index_is_written_again_with_a_message(loaded, folder, stores, damage, caplog):
    damage(folder)
    report, line = _load_damaged(loaded[0], stores, caplog)
    assert "index of images" in line and "written again from Parquet, into a new collection" in line
    assert (report.image_vectors_written, report.face_vectors_written) == (IMAGES, 0)
    _assert_sound(loaded[0], stores)
    assert load(loaded[0], stores).rebuilt == ()


@pytest.mark.parametrize("damage", FOLDER_DAMAGE.values(), ids=FOLDER_DAMAGE)
def test_a_damaged_database_is_kept_aside_and_written_again(loaded, folder, stores, damage, caplog):
    damage(folder)
    report, line = _load_damaged(loaded[0], stores, caplog)
    assert "cannot be read" in line and "kept as chroma.damaged-1" in line
    assert folder.with_name("chroma.damaged-1").is_dir()
    assert (report.image_vectors_written, report.face_vectors_written) == (IMAGES, 3)
    _assert_sound(loaded[0], stores)


def test_damage_is_told_by_status_and_verify_and_crashes_neither(loaded, folder, stores):
    landing = loaded[0]
    INDEX_DAMAGE["random vectors"](folder)
    (reason,) = store_state(landing, stores).reasons
    assert "index of images is damaged" in reason
    found = verify(landing, stores)
    ((where, kind, count),) = [(one.where, one.kind, one.count) for one in found.differences]
    assert (where, kind, count) == ("ChromaDB images", "damaged", IMAGES) and not found.ok


@pytest.mark.parametrize("damage", ["random vectors", "header cut short"])
def test_a_damaged_index_is_told_before_it_is_read(folder, stores, damage):
    INDEX_DAMAGE[damage](folder)
    for read in (
        lambda: group_images(stores),
        lambda: search(stores, np.ones(8, np.float32), by="images", model=IMAGE_MODEL),
        lambda: next(stores.iter_vectors("images")),
    ):
        with pytest.raises(
            StoreError, match="index of images in .* is damaged .*`pixelbrain load OUT` writes it again"
        ):
            read()
    # the faces' index is sound, and is used
    assert [len(batch) for batch in stores.iter_vectors("faces")] == [3]
    face = make_image(0, faces=1)["facenet"]["faces"][0]
    assert search(stores, face["embedding"], model=FACE_MODEL, k=1)[0][0].face_id == face["face_id"]


def test_damaged_tables_are_told_before_they_are_read(folder, stores):
    FOLDER_DAMAGE["tables cut short"](folder)
    with pytest.raises(StoreError, match="index of faces in .* is damaged .*chroma.sqlite3"):
        PeopleIdentifierModule().run(stores)


def test_a_sound_index_is_looked_at_once(loaded, folder, stores, monkeypatch):
    looks = []
    monkeypatch.setattr(health_process, "examine_folder", lambda *request: looks.append(request) or {})
    for _ in range(3):
        assert len(search(stores, np.ones(8, np.float32), by="images", model=IMAGE_MODEL, k=2)[0]) == 2
    stores.vector_model("faces")
    assert len(looks) == 1
    load(loaded[0], stores)  # looks before it finds nothing to do
    stores.vectors.remember("faces", "")
    load(loaded[0], stores)  # looks when it asks, before and after
    stores.vector_model("images")
    assert len(looks) == 5


def test_damage_during_a_load_is_seen_after_it(loaded, folder, stores):
    landing = loaded[0]

    def damage(done: int, total: int) -> None:
        if done == total:
            INDEX_DAMAGE["random vectors"](folder)

    stores.vectors.remember("faces", "")
    report = load(landing, stores, progress=damage)
    assert len(report.rebuilt) == 1 and report.image_vectors_written == IMAGES
    _assert_sound(landing, stores)


def test_an_index_that_stays_damaged_is_an_error(land, image, database, monkeypatch):
    bad = Finding(kind="index", reason="made up")
    monkeypatch.setattr(
        health_process, "examine_folder", lambda _folder, samples: {"images": bad} if samples["images"].count else {}
    )
    with pytest.raises(StoreError, match="damaged \\(made up\\), also after it was written again"):
        load(land([image(0)]), database)


def test_a_weak_index_is_told_and_not_written_again(land, image, database, monkeypatch, caplog):
    weak = Finding(kind="recall", reason="1 of 9 vectors find themselves")
    monkeypatch.setattr(health_process, "examine_folder", lambda _folder, _samples: {"images": weak})
    report = load(land([image(0)]), database)
    assert (report.rebuilt, report.image_vectors_written) == ((), 1)
    assert "is weak: 1 of 9 vectors" in caplog.text


def test_copies_of_one_photo_and_vectors_of_zeros_are_no_damage(land, image, database):
    rows = [image(number) for number in range(30)]
    for row in rows[:20]:
        row["resnet"]["embedding"] = rows[0]["resnet"]["embedding"]
    rows[25]["resnet"]["embedding"] = np.zeros(8, np.float32)
    landing = land(rows)
    assert load(landing, database).rebuilt == ()
    assert verify(landing, database).ok


def test_the_process_that_looks_may_end_at_any_time(loaded, folder):
    assert health_process.examine_folder(folder, {"images": Sample(count=IMAGES)}) == {}
    health_process._examiners[os.getpid()].process.kill()
    health_process._examiners[os.getpid()].process.wait()
    assert health_process.examine_folder(folder, {"images": Sample(count=IMAGES)}) == {}
    ((name, finding),) = health_process.examine_folder(
        folder, {"images": Sample(count=7), "faces": Sample(count=3)}
    ).items()
    assert (name, finding.kind) == ("images", "index") and "1,100 vectors, and 7 were written" in finding.reason


def test_a_folder_that_cannot_be_used_is_no_damage(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="ChromaDB in .* cannot be read: Not a directory"):
        health_process.examine_folder(tmp_path / "file" / "chroma", {"images": Sample()})

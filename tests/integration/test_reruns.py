"""The same command again: what it does, and what it leaves alone, when files, modules or settings have changed.

Without Ray, which knows nothing of it: `test_extract` has a rerun on Ray, and `test_kills` many.
"""

from __future__ import annotations

import collections
import csv
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.sources.local import uri_to_path
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from tests.integration.watched import World

DIM = 4
BLOCK = 12  # images, with so few; each block is a part file


# --- modules, of which the workers import this file ------------------------------------------------------------------


class Watched(pb.PipelineModule):
    """Writes into `log`, beside the photos' folder, what it looks at; fails while a file `down` is there."""

    resources = pb.Resources(batch_size=1)  # of a batch that fails, each image is looked at again

    def fields(self):
        return [pa.field("value", pa.int64())]

    def process(self, image):
        path = Path(uri_to_path(image.image_id))
        with open(path.parents[1] / "log", "a") as log:
            log.write(f"{self.name} {path.name}\n")
        if (path.parents[1] / "down").exists():
            raise ConnectionError("the service is down")
        return self.look(image)

    def look(self, image):
        return {"value": image.width}


class Wide(Watched):
    """In pixels."""

    name = "wide"


class WideInMillimetres(Watched):
    """The same module with another setting."""

    name = "wide"

    def settings(self):
        return {"unit": "mm"}

    def look(self, image):
        return {"value": 1000 * image.width}


class High(Watched):
    """In pixels."""

    name = "high"

    def look(self, image):
        return {"value": image.height}


class Faces(Watched):
    """As many faces as the image is pixels high, less 8; each with a vector of its own."""

    name = "facenet"

    def fields(self):
        return schema.faces_fields(DIM)

    def model_info(self):
        return schema.ModelInfo(model="tiny", weights_sha256="0" * 64, dim=DIM)

    def look(self, image):
        count = image.height - 8
        vectors = np.random.default_rng([image.width, image.height]).normal(size=(count, DIM)).astype(np.float32)
        place = {"x1": 1.0, "y1": 1.0, "x2": 5.0, "y2": 5.0, "landmarks": [1.0] * 10, "score": 0.9, "sharpness": 9.0}
        faces = [
            {"face_id": schema.face_id(image.image_id, i), **place, "embedding": vector / np.linalg.norm(vector)}
            for i, vector in enumerate(vectors)
        ]
        return {"n_faces": count, "faces": faces}


# --- their world -----------------------------------------------------------------------------------------------------


class Reruns:
    """A folder with photos and an OUT, the command over them, and what the modules looked at."""

    def __init__(self, folder: Path, command: Callable[..., Any], encode: Callable[..., bytes]) -> None:
        self.folder, self.command, self.encode = folder, command, encode
        self.photos, self.out, self.log = folder / "photos", folder / "out", folder / "log"
        self.photos.mkdir()

    def write(self, name: str, size: tuple[int, int]) -> None:
        (self.photos / name).write_bytes(self.encode("PNG", size=size))

    def extract(self, *modules: type[Watched], more: tuple[Any, ...] = (), source: Path | str | None = None) -> str:
        """Run the command; what it said. The log is then of this run alone."""
        self.log.write_text("")
        named = [word for module in modules for word in ("--module", f"{__name__}:{module.__name__}")]
        words = ("extract", source or self.photos, "--out", self.out, "--executor", "local")
        return self.command(*words, *named, *more).stderr

    def looks(self) -> dict[str, collections.Counter[str]]:
        """By module, how often the last run looked at each photo."""
        found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for line in self.log.read_text().splitlines():
            module, name = line.split(" ")
            found[module][name] += 1
        return dict(found)

    def rows(self) -> dict[str, dict[str, Any]]:
        """By file name; fails if an image is there twice."""
        rows = [row for table in pb.Landing(self.out).iter_images() for row in table.to_pylist()]
        found = {row["image_id"].rpartition("/")[2]: row for row in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture
def world(tmp_path: Path, command: Callable[..., Any], encode: Callable[..., bytes]) -> Reruns:
    return Reruns(tmp_path, command, encode)


def once(*names: str) -> collections.Counter[str]:
    return collections.Counter(names)


# --- the tests -------------------------------------------------------------------------------------------------------


def test_a_run_does_only_what_its_modules_and_flags_ask_for(world, caplog):
    names = [f"{index:02d}.png" for index in range(2 * BLOCK)]
    for index, name in enumerate(names):
        world.write(name, (20 + index, 10 + index))
    (world.photos / "00-broken.jpg").write_bytes(world.encode()[:100])
    assert "extract   25 images, 1 failed" in world.extract(Wide)
    assert world.looks() == {"wide": once(*names)}

    # a module that is added later
    (world.folder / "down").touch()
    assert "25 failed" in world.extract(Wide, High)
    assert world.looks() == {"high": once(*names)}
    assert "were there already" in world.extract(Wide, High) and world.looks() == {}
    (world.folder / "down").unlink()
    said = world.extract(Wide, High, more=("--retry-failed",))
    assert "extract   25 images, 1 failed" in said
    assert world.looks() == {"high": once(*names)}
    rows = world.rows()
    assert len(rows) == 25 and rows["00-broken.jpg"]["status"] == "failed"
    assert all(
        rows[name]["wide"] == {"value": 20 + i, "error_type": None, "error": None} for i, name in enumerate(names)
    )

    # other settings
    world.extract(WideInMillimetres, High)
    assert world.looks() == {"wide": once(*names)}
    rows = world.rows()
    assert [rows[name]["wide"]["value"] for name in names] == [1000 * (20 + i) for i in range(len(names))]
    assert [rows[name]["high"]["value"] for name in names] == [10 + i for i in range(len(names))]

    # a last file that lost its end, as to a power loss
    storage = pb.Landing(world.out).storage
    last = f"images/{storage.names('images')[-1]}"
    (world.out / last).write_bytes(storage.read(last)[:-100])
    with caplog.at_level(logging.WARNING, "pixelbrain"):
        said = world.extract(WideInMillimetres, High)
    assert any(f"broken/{last[7:]} could not be read, and was set aside" in m for m in caplog.messages)
    redone = world.looks()
    assert redone["wide"] == redone["high"] and redone["wide"] and set(redone["wide"].values()) == {1}
    assert world.rows() == rows and storage.names("broken") == [last[7:]]

    world.extract(WideInMillimetres, High, more=("--force",))
    assert world.looks() == {"wide": once(*names), "high": once(*names)} and world.rows() == rows


def test_files_that_change_or_go_change_all_three_places(world, command):
    sizes = {"a.png": (30, 11), "b.png": (31, 10), "c.png": (32, 9), "d.png": (33, 8)}  # 3, 2, 1 and no faces
    for name, size in sizes.items():
        world.write(name, size)
    world.extract(Faces)

    def check(faces: dict[str, int]) -> None:
        """Parquet, MongoDB and ChromaDB hold these photos with so many faces."""
        rows = world.rows()
        assert {name: row["facenet"]["n_faces"] for name, row in rows.items()} == faces
        documents = {row["image_id"]: row for row in database.find_images()}
        assert {row["image_id"]: row["version"] for row in rows.values()} == {
            name: document["version"] for name, document in documents.items()
        }
        assert {name: document["width"] for name, document in documents.items()} == {
            row["image_id"]: row["width"] for row in rows.values()
        }
        wanted = {face["face_id"]: face["embedding"] for row in rows.values() for face in row["facenet"]["faces"]}
        stored = {i: v for b in database.iter_vectors("faces") for i, v in zip(b.ids, b.vectors, strict=True)}
        assert len(wanted) == sum(faces.values()) and stored.keys() == wanted.keys()
        assert all(np.allclose(stored[face_id], vector, atol=1e-6) for face_id, vector in wanted.items())
        assert "MongoDB and ChromaDB agree" in command("verify", world.out).stdout

    with EmbeddedMongo(world.out / "db" / "mongo"), pb.Database.open(world.out) as database:
        command("load", world.out)
        check({"a.png": 3, "b.png": 2, "c.png": 1, "d.png": 0})
        world.write("a.png", (40, 9))
        (world.photos / "b.png").unlink()
        world.write("e.png", (41, 10))
        said = world.extract(Faces)
        assert world.looks() == {"facenet": once("a.png", "e.png")}
        assert f"1 images are gone from {world.photos}, and stay; --prune removes them" in said
        assert command("verify", world.out, check=False).returncode == 1
        command("load", world.out)
        check({"a.png": 1, "b.png": 2, "c.png": 1, "d.png": 0, "e.png": 2})
        said = world.extract(Faces, more=("--prune",))
        assert world.looks() == {} and f"1 images are gone from {world.photos}, and were removed" in said
        command("load", world.out)
        check({"a.png": 1, "c.png": 1, "d.png": 0, "e.png": 2})
        assert "gone" not in world.extract(Faces, more=("--prune",))


def test_all_that_is_known_of_a_photo_follows_it(world, command, s3):
    """Into another folder, another subfolder, S3 and back, and where two swap their names."""
    sizes = {"a.png": (30, 11), "b.png": (31, 10), "c.png": (32, 9), "d.png": (33, 8)}  # 3, 2, 1 and no faces
    for name, size in sizes.items():
        world.write(name, size)
    (world.photos / "broken.png").write_bytes(b"no photo")
    world.extract(Faces)
    s3.create_bucket(Bucket="moved")
    endpoint = ("--s3-endpoint", s3.meta.endpoint_url)

    def people() -> dict[str, tuple[str, str]]:
        rows = IDENTITIES.read(pb.Landing(world.out)).rows.to_pylist()
        assert all(row["face_id"].startswith(row["image_id"] + "#") for row in rows)
        return {row["face_id"].rpartition("/")[2]: (row["identity_id"], row["assigned"]) for row in rows}

    def check(said: str, known: dict[str, tuple[str, str]], folder: str, moved: int = 5) -> None:
        """No model looked, and Parquet and the stores hold these photos alone."""
        assert f"1 failed, {moved} moved" in said and "copies" not in said and world.looks() == {}
        rows = world.rows()
        assert len(rows) == 5 and all(row["image_id"].startswith(folder) for row in rows.values())
        assert people() == known and len(known) == 6
        command("load", world.out, *endpoint)
        assert "MongoDB and ChromaDB agree" in command("verify", world.out, *endpoint).stdout
        stored = {row["image_id"]: row.get("identities", []) for row in database.find_images()}
        assert {image_id.rpartition("/")[2]: len(ids) for image_id, ids in stored.items()} == {
            name: len({person for face, (person, _) in known.items() if face.startswith(name) and person})
            for name in rows
        }

    with EmbeddedMongo(world.out / "db" / "mongo"), pb.Database.open(world.out) as database:
        command("load", world.out)
        faces = [(face["face_id"], row["image_id"]) for row in world.rows().values() if row["facenet"]
                 for face in row["facenet"]["faces"]]  # fmt: skip
        table = [
            {"face_id": face, "image_id": image, "identity_id": f"person-{number % 4}", "assigned": "clustered"}
            for number, (face, image) in enumerate(faces)
        ]
        landing = pb.Landing(world.out)
        IDENTITIES.write(landing, pa.Table.from_pylist(table, schema.IDENTITY_SCHEMA))
        known = people()
        place = world.photos.rename(world.folder / "renamed")
        check(world.extract(Faces, source=place), known, place.as_uri())

        (place / "sub").mkdir()
        for path in sorted(place.glob("*.png")):
            path.rename(place / "sub" / path.name)
        said = world.extract(Faces, source=place, more=("--prune",))
        assert "gone from" not in said
        check(said, known, (place / "sub").as_uri())

        for path in (place / "sub").iterdir():
            s3.upload_file(str(path), "moved", f"photos/{path.name}")
        shutil.rmtree(place)
        check(world.extract(Faces, source="s3://moved/photos", more=endpoint), known, "s3://moved/photos/")

        world.photos.mkdir()
        for name in [*sizes, "broken.png"]:
            s3.download_file("moved", f"photos/{name}", str(world.photos / name))
            s3.delete_object(Bucket="moved", Key=f"photos/{name}")
        check(world.extract(Faces, more=endpoint), known, world.photos.as_uri())

        (world.photos / "a.png").rename(world.photos / "x.png")
        (world.photos / "b.png").rename(world.photos / "a.png")
        (world.photos / "x.png").rename(world.photos / "b.png")
        said = world.extract(Faces)
        assert "extract   2 images, 2 moved, 3 were there already" in said and world.looks() == {}
        rows = world.rows()
        assert [rows[name]["facenet"]["n_faces"] for name in ("a.png", "b.png")] == [2, 3]

        shutil.rmtree(world.photos)
        module = ("--module", f"{__name__}:Faces")
        refused = command("extract", world.photos, "--out", world.out, "--prune", *module, check=False)
        assert refused.returncode == 1 and "--prune-gone-source removes all its images" in refused.stderr
        assert "5 images are gone from" in world.extract(Faces, more=("--prune-gone-source",))
        assert world.rows() == {}


def test_a_copy_has_a_row_of_its_own_and_no_model_looks_at_it(world):
    world.write("a.png", (20, 10))
    world.extract(Wide)
    shutil.copy(world.photos / "a.png", world.photos / "b.png")
    assert "extract   1 images, 1 copies of others, 1 were there already" in world.extract(Wide)
    assert world.looks() == {} and {row["wide"]["value"] for row in world.rows().values()} == {20}
    assert len(world.rows()) == 2


def test_the_versions_of_a_list_are_what_counts(world):
    names = ["a.png", "b.png", "c.png"]
    for index, name in enumerate(names):
        world.write(name, (20 + index, 10))
    listed = world.folder / "list.csv"

    def write_list(**versions: str) -> None:
        with open(listed, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["version", "uri"])
            rows.writerows([version, f"photos/{name}.png"] for name, version in versions.items())

    write_list(a="1", b="1", c="1")
    world.extract(Wide, source=listed)
    world.write("a.png", (50, 10))  # of which the list does not know
    assert "3 were there already" in world.extract(Wide, source=listed)
    world.write("b.png", (51, 10))
    write_list(b="2", c="1", a="1")
    world.extract(Wide, source=listed)
    assert world.looks() == {"wide": once("b.png")}
    write_list(b="2")
    assert "gone" not in world.extract(Wide, source=listed, more=("--prune",))
    rows = world.rows()
    assert {name: row["version"] for name, row in rows.items()} == {"a.png": "1", "b.png": "2", "c.png": "1"}
    assert rows["a.png"]["wide"]["value"] == 20


def test_the_second_of_two_runs_is_refused_and_a_dead_one_is_not_waited_for(tmp_path, encode, command):
    world = World(tmp_path, seconds=0.3)
    for index in range(30):
        (world.photos / f"{index:02d}.png").write_bytes(encode("PNG", size=(8 + index, 9)))
    arguments = ("extract", world.photos, "--out", world.out, "--executor", "local", "--module", f"{__name__}:Wide")
    first = world.start_plain()
    try:
        world.wait_for_looks(1, first)
        os.kill(first.pid, signal.SIGSTOP)  # that it is not done too soon
        refused = command(*arguments, check=False)
        loaded = command("verify", world.out, check=False)
    finally:
        first.kill()
        said = first.communicate(timeout=60)[1]
    assert first.returncode == -9, said
    who = f"Error: {world.out} is in use by process {first.pid} on {socket.gethostname()} (pixelbrain extract, since "
    assert refused.returncode == 1 and refused.stderr.startswith(who) and len(refused.stderr.splitlines()) == 1
    assert loaded.returncode == 1
    assert "extract   30 images" in command(*arguments).stderr
    assert pb.Landing(world.out).count_images() == 30

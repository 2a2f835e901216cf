"""Search by photo: the largest face is asked for first, and what cannot be searched is said."""

from __future__ import annotations

import contextlib
import hashlib
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.apps.photo_search import Models, search_photo
from pixelbrain.config import RunConfig
from pixelbrain.errors import ImageError, LandingError, ModuleError
from pixelbrain.images.decode import DecodeTarget
from pixelbrain.landing.forgotten.marks import FaceMark, Mark, lift_mark, write_mark
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.record import write_stage
from pixelbrain.report.search import ImageMatch
from pixelbrain.schema import ModelInfo
from pixelbrain.sources import image_uri
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.open import open_storage
from pixelbrain.stores.vectors import vector_fields
from tests.unit.engine.standing import Bright, Detector, run
from tests.waiting import wait_for

MODEL = ModelInfo(model="dlib", weights_sha256="0" * 64, dim=2)
STATE = ModuleState(settings={}, model=MODEL, vectors={"faces.embedding": 2})


class Faces:
    """In place of the face module: what it is made with, and what it finds."""

    decode_target = DecodeTarget()

    def __init__(self, found):
        self.found = found

    def prepare(self):
        pass

    def setup(self, device):
        pass

    def run(self, images):
        return [self.found]

    def settings(self):
        return {}

    def model_info(self):
        return MODEL


@pytest.fixture
def search(landed, tmp_path, encode, monkeypatch):
    """search(found) searches by a photo on which the module finds that; returns the answer and how it was asked."""
    (tmp_path / "me.jpg").write_bytes(encode())
    index = SimpleNamespace(modules=["facenet"], image_id=pa.chunked_array([], pa.string()))
    landing = SimpleNamespace(index=index, states=lambda: {"facenet": STATE}, iter_images=lambda *_, **__: [])
    stages = SimpleNamespace(
        landing=landing,
        storage=open_storage(landed),
        config=RunConfig(out=str(landed)),
        database=contextlib.nullcontext,
        check=lambda stage: None,
        context=SimpleNamespace(choose=lambda where: None),
    )
    asked = SimpleNamespace()

    def make(found, photo=None):
        def make_again(name, state, **where):
            asked.module, asked.where = (name, state), where
            return Faces(found)

        def nearest(database, vectors, *, by, model, k, images):
            asked.vectors, asked.how = vectors, (by, model, k)
            match = ImageMatch(image_id="file:///a%20b.jpg", distance=0.123456, label=None)
            return [[match]] * len(vectors)

        monkeypatch.setattr("pixelbrain.apps.photo_search.landed_module", make_again)
        monkeypatch.setattr("pixelbrain.apps.photo_search.search", nearest)
        return search_photo(stages, str(photo or tmp_path / "me.jpg"), k=3), asked

    return make


def face(x2: float, value: float) -> dict:
    return {"x1": 0.0, "y1": 0.0, "x2": x2, "y2": 10.4, "embedding": [value, value]}


def test_the_largest_face_comes_first(search, landed):
    write_stage(landed, "extract", {}, settings={"embedder": "casia-webface", "weights_dir": "w"})
    found, asked = search({"faces": [face(5, 1.0), face(9, 2.0)]})
    # the model is Parquet's; run.json only says where weights, and an ONNX file, may be
    assert asked.module == ("facenet", STATE)
    told = {"embedder": "casia-webface", "weights_dir": "w"}
    assert asked.where == {"weights_dir": "w", "offline": False, "told": told}
    assert asked.how == ("faces", MODEL, 3)
    assert np.array_equal(asked.vectors, np.array([[2, 2], [1, 1]], np.float32))
    assert [query["title"] for query in found["queries"]] == [
        "face at [0, 0, 9, 10] of the photo", "face at [0, 0, 5, 10] of the photo",
    ]  # fmt: skip
    assert found["queries"][0]["matches"] == [
        {"image_id": "file:///a%20b.jpg", "path": "/a b.jpg", "distance": 0.1235, "label": None, "label_score": None}
    ]


def test_no_model_is_loaded_for_a_photo_that_landed(tmp_path, encode, monkeypatch):
    photo, asked = tmp_path / "me.jpg", []
    photo.write_bytes(encode())
    made = schema.ModelInfo(model="dlib", weights_sha256="0" * 64, dim=2)
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    row = {"image_id": image_uri(str(photo)), "version": "1", "status": "ok", "sha256": sha256}
    kind = pa.struct([*schema.BOX_FIELDS, ("embedding", pa.list_(pa.float32(), 2))])
    columns = pa.schema([*schema.BASE_FIELDS, ("facenet", schema.module_struct([pa.field("faces", pa.list_(kind))]))])
    table = pa.Table.from_pylist([row | {"facenet": {"faces": [face(5, 1.0) | {"y1": 0, "y2": 5}]}}], columns)
    landing = Landing(tmp_path / "out")
    state = {"facenet": ModuleState(settings={}, model=made)}
    landing.write_part(table, generation=1, block=0, piece=0, modules=state)

    def of_a_model(*_, **__):
        raise ModuleError("a model is loaded")

    def nearest(database, vectors, *, by, model, k, images):
        asked.append((vectors.tolist(), model))
        return [[]] * len(vectors)

    monkeypatch.setattr("pixelbrain.apps.photo_search.landed_module", of_a_model)
    monkeypatch.setattr("pixelbrain.apps.photo_search.search", nearest)

    def search():
        return search_photo(Stages(RunConfig(out=str(tmp_path / "out"))), str(photo))

    assert search()["queries"] == [{"title": "face at [0, 0, 5, 5] of the photo", "matches": []}]
    assert asked == [([[1.0, 1.0]], made)]
    write_mark(landing.storage, Mark(faces=(FaceMark.of(sha256, (20, 20, 30, 30)),)))
    with pytest.raises(ModuleError, match="a model is loaded"):  # whom it shows as well has not landed
        search()
    lift_mark(landing.storage, 1)
    assert len(search()["queries"]) == 1
    photo.write_bytes(encode(size=(9, 9)))
    with pytest.raises(ModuleError, match="a model is loaded"):  # it is another photo now
        search()


def test_a_photo_without_a_face_is_an_error(search):
    with pytest.raises(ModuleError, match="no face was found in the photo; --similar"):
        search({"faces": []})
    nan = float("nan")
    assert np.isfinite(search({"faces": [face(9, nan), face(5, 1.0)]})[1].vectors).all()
    with pytest.raises(ModuleError, match="no face was found"):
        search({"faces": [face(9, nan)]})
    with pytest.raises(ModuleError, match="facenet failed on .*me.jpg: too dark"):
        search({"error_type": "ValueError", "error": "too dark"})


def test_a_photo_that_cannot_be_read_is_named(search, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.jpg").write_bytes(b"nothing")
    for photo, said in {
        "nosuch.jpg": r"^cannot search by nosuch.jpg: FileNotFoundError: No such file",
        "a b.jpg": r"^cannot search by a b.jpg: not an image",
        "ftp://b/a.jpg": r"^cannot search by ftp://b/a.jpg: ",
    }.items():
        with pytest.raises(ImageError, match=said):
            search({"faces": []}, photo)
    for photo in "me.jpg", f"file:{tmp_path}/./me.jpg":
        search({"faces": [face(5, 1.0)]}, photo)


def test_vectors_that_are_not_there_are_named(landed):
    with pytest.raises(LandingError, match="has no resnet vectors: run `pixelbrain extract` with --module resnet"):
        search_photo(Stages(RunConfig(out=str(landed))), "me.jpg", by="images")


def test_a_vector_that_stands_on_others_is_made_of_what_they_say(tmp_path, encode, monkeypatch):
    """Both are the user's own, and run.json says where they are."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode("PNG", size=(25, 20)))
    (tmp_path / "me.png").write_bytes(encode("PNG", size=(38, 20)))
    run(monkeypatch, tmp_path / "photos", tmp_path / "out", Bright(), Detector(left=3))
    own = [f"{Bright.__module__}:{cls.__name__}" for cls in (Bright, Detector)]
    write_stage(tmp_path / "out", "extract", {}, settings={"modules": own})
    stages, asked = Stages.over(str(tmp_path / "out"), stores=False), []
    monkeypatch.setattr(Stages, "check", lambda *_: None)
    monkeypatch.setattr(Stages, "database", contextlib.nullcontext)
    monkeypatch.setattr(
        "pixelbrain.apps.photo_search.search", lambda *how, **more: asked.append((how[1], more)) or [[]] * 2
    )
    found = search_photo(stages, str(tmp_path / "me.png"), by="bright", k=3)
    ((vectors, how),) = asked
    assert np.array_equal(vectors, np.array([[3, 1], [4, 1]], np.float32))
    assert how["model"] == vector_fields(stages.landing)["bright"].model
    assert found["queries"][0]["title"] == "face at [3, 1, 11, 9] of the photo"


def test_models_stay_for_the_next_search_and_go_when_nobody_searches():
    class Slow:
        """What a module does for a search, counted."""

        done: list[str] = []

        def prepare(self) -> None:
            self.done.append("prepare")

        def setup(self, device: str) -> None:
            self.done.append(device)

    models = Models(idle_s=0.2)
    first = models.of("a", Slow, set_up=False)
    assert models.loaded and Slow.done == []
    assert models.of("a", Slow, set_up=True) is models.of("a", Slow, set_up=True) is first
    assert models.of("b", Slow, set_up=True) is not first and Slow.done == ["prepare", "cpu"] * 2
    wait_for(lambda: not models.loaded)
    assert models.of("a", Slow, set_up=False) is not first
    models.free()
    always = Models(idle_s=0)
    always.of("a", Slow, set_up=False)
    assert always._timer is None

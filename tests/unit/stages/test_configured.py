"""What settings stand for: questions and weights, or an error that names what is wrong."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.clip import ClipEmbedderModule
from pixelbrain.modules.clip_labels import ClipLabelsModule
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.resnet import ResnetClassifierModule
from pixelbrain.record import write_stage
from pixelbrain.stages.configured import fetch_missing, landed_module, make_asking, make_modules, run_config
from pixelbrain.stages.display import LogDisplay
from tests.unit.engine.modules_for_tests import Size
from tests.unit.modules.clip_folder import write_clip_folder
from tests.unit.modules.onnx_file import write_onnx


def test_questions_are_asked_with_the_runs_s3_server_and_limit():
    assert make_asking(RunConfig()) == []
    asked = {"modules": ("resnet", "gpt4v"), "s3_endpoint": "http://s3", "max_megapixels": 200}
    (module,) = make_asking(RunConfig(gpt4v={"question": "people_detector"}, **asked))
    assert (module.settings.s3_endpoint, module.settings.max_megapixels) == ("http://s3", 200)
    with pytest.raises(ConfigError, match="gpt4v: .*colour"):
        make_asking(RunConfig(gpt4v={"colour": "red"}, **asked))


def test_only_what_is_missing_is_fetched_and_once(monkeypatch):
    class Wants(Size):
        def required_weights(self):
            return ["here", "away"]

    fetched = []
    monkeypatch.setattr(
        "pixelbrain.modules.weights.find.find_weights", lambda name, _: name if name == "here" else None
    )
    monkeypatch.setattr(
        "pixelbrain.modules.weights.find.fetch_weights",
        lambda name, folder, *, offline, progress: fetched.append((name, folder, offline)),
    )
    fetch_missing([Wants(), Wants()], RunConfig(weights_dir="w", offline=True), LogDisplay())
    assert fetched == [("away", "w", True)]


@pytest.fixture
def land(tmp_path):
    """land(generation, modules) lands a row in an OUT that has no run.json, as a pipeline in Python may leave it."""

    def write(generation, *modules):
        row = {"image_id": "file:///a.jpg", "version": "1", "status": "ok"}
        columns = [pa.field(module.name, module.struct_type()) for module in modules]
        table = pa.Table.from_pylist([row], pa.schema([*schema.BASE_FIELDS, *columns]))
        states = {module.name: ModuleState(settings=module.settings(), model=module.model_info()) for module in modules}
        Landing(tmp_path).write_part(table, generation=generation, block=0, piece=0, modules=states)
        return states

    return write


def test_a_run_goes_on_with_the_onnx_file_that_run_json_names_while_it_is_the_same(land, tmp_path):
    file = tmp_path / "model.onnx"
    write_onnx(file)
    landed = FacenetEmbedderModule(f"onnx:{file}", turns="never")
    (state,) = land(1, landed).values()
    with pytest.raises(ConfigError, match="run.json does not say where it is: give --embedder onnx:FILE"):
        run_config({"out": str(tmp_path)})
    settings = RunConfig(embedder=f"onnx:{file}").as_dict()
    write_stage(tmp_path, "extract", {}, settings=settings)
    for given in ({}, {"embedder": f"onnx:{file}"}):
        config = run_config({"out": str(tmp_path), "modules": ("facenet",), **given})
        assert config.embedder == f"onnx:{file}"
        assert make_modules(config)[0].settings() == landed.settings()
    assert landed_module("facenet", state, weights_dir=None, told=settings).model_info() == landed.model_info()
    write_onnx(file, seed=1)
    with pytest.raises(ConfigError, match="weights of your own"):
        run_config({"out": str(tmp_path)})
    file.unlink()
    with pytest.raises(ConfigError, match="there is no file"):
        run_config({"out": str(tmp_path)})
    assert run_config({"out": str(tmp_path), "embedder": "dlib"}).embedder == "dlib"  # and does all images again


def test_a_run_goes_on_with_the_models_that_out_has(land, tmp_path):
    landed = [
        ResnetClassifierModule("efficientnet-lite0", classes=["tabby"], top_k=1, precision="float32"),
        FacenetEmbedderModule("dlib", min_score=0.95, min_face_px=30),
    ]
    states = land(1, *landed)
    config = run_config({"source": "photos", "out": str(tmp_path)})
    assert (config.classifier, config.classes, config.top_k) == ("efficientnet-lite0", ("tabby",), 1)
    *models, exif, quality = make_modules(config)
    assert [module.settings() for module in models] == [module.settings() for module in landed]
    # what landed without them is not read again for them, unless one says so
    assert (exif.name, exif.alone, quality.name, quality.alone) == ("exif", False, "quality", False)
    assert make_modules(run_config({"out": str(tmp_path), "modules": ["exif"]}))[0].alone
    for name, state in states.items():  # as a search makes them
        assert landed_module(name, state, weights_dir=None).settings() == state.settings

    # an OUT that is older than turns goes on without them, until they are asked for
    del (old := landed[1].settings())["turns"]
    assert landed[1].settings()["turns"] == "auto"
    assert FacenetEmbedderModule.arguments(old)["turns"] == "never"
    never = FacenetEmbedderModule("dlib", min_score=0.95, min_face_px=30, turns="never")
    assert never.settings() == old
    land(2, never)
    for given in ({}, {"embedder": "dlib"}, {"turns": "never"}):
        assert make_modules(run_config({"out": str(tmp_path), **given}))[1].settings() == old, given
    asked = run_config({"out": str(tmp_path), "turns": "auto"})
    assert make_modules(asked)[1].settings() == landed[1].settings()

    # what is named is taken; of another model nothing is kept, of the same one what was not named
    named = run_config({"out": str(tmp_path), "classifier": "resnet18", "embedder": "facenet"})
    assert (named.classes, named.top_k) == ((), 5)
    resnet, facenet, *_ = make_modules(named)
    assert resnet.settings() == ResnetClassifierModule("resnet18").settings()
    assert facenet.settings() == FacenetEmbedderModule().settings()
    resnet, *_ = make_modules(run_config({"out": str(tmp_path), "top_k": 3}))
    assert resnet.settings() == landed[0].settings() | {"top_k": 3}
    offline = run_config({"out": str(tmp_path), "offline": True})
    assert (offline.embedder, offline.classes) == ("dlib", ())

    # of two models, a run that was cut short was changing to the newer
    land(2, FacenetEmbedderModule("vggface2"))
    assert run_config({"out": str(tmp_path)}).embedder == "vggface2"


def test_a_run_goes_on_with_clips_model_and_labels(land, tmp_path):
    own = write_clip_folder(tmp_path / "own")
    clip, labels = ClipEmbedderModule(own), ClipLabelsModule(["cat", "= a text"], model=own, top_k=1)
    states = land(1, clip, labels)
    out = str(tmp_path)
    with pytest.raises(ConfigError, match="does not say where it is: give --clip-model local-dir:DIR"):
        run_config({"out": out, "modules": ("clip",)})
    write_stage(tmp_path, "extract", {}, settings=RunConfig(clip_model=own).as_dict())

    def made(**given):
        return [one.settings() for one in make_modules(run_config({"out": out, **given}))]

    assert made(modules=("clip", "clip_labels")) == [clip.settings(), labels.settings()]
    assert made(modules=("clip",), offline=True) == [clip.settings()]  # it has no packaged model
    # new labels are by the model whose vectors there are
    dog = ClipLabelsModule(["dog"], model=own, top_k=1)
    assert made(modules=("clip",), labels=["dog"], top_k=1) == [clip.settings(), dog.settings()]
    for name, state in states.items():
        told = {"clip_model": own}
        assert landed_module(name, state, weights_dir=None, told=told).settings() == state.settings
    # of vectors of another model the labels are made again; a number that both have is the classifier's
    land(2, ClipEmbedderModule(), ResnetClassifierModule("resnet18", top_k=7))
    lines = ["cat", "= a text"]
    clip, resnet = ClipEmbedderModule().settings(), ResnetClassifierModule("resnet18", top_k=7).settings()
    assert made(modules=("clip_labels",)) == [ClipLabelsModule(lines, top_k=1).settings(), clip]
    assert made(modules=("clip_labels", "resnet")) == [ClipLabelsModule(lines, top_k=7).settings(), resnet, clip]


def test_weights_of_ones_own_are_not_changed_without_a_word(land, tmp_path):
    (tmp_path / "own.pth").write_bytes(b"weights")
    states = land(1, ResnetClassifierModule("resnet18", weights_file=tmp_path / "own.pth"))
    with pytest.raises(ConfigError, match=r"weights of your own \(resnet18, .*name --classifier"):
        run_config({"out": str(tmp_path)})
    with pytest.raises(ConfigError, match="weights of your own"):
        landed_module("resnet", states["resnet"], weights_dir=None)
    with pytest.raises(ConfigError, match=r"weights of your own \(no model"):  # of a module of one's own, called so
        landed_module("facenet", ModuleState(settings={}, model=None), weights_dir=None)
    assert run_config({"out": str(tmp_path), "classifier": "resnet18"}).classifier == "resnet18"
    assert run_config({"out": str(tmp_path), "modules": ("facenet",)}).classifier == "resnet50"

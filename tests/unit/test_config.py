"""Settings fail early, with the value; files and flags merge; passwords stay out of sight."""

from __future__ import annotations

import pytest

from pixelbrain.config import RunConfig, mask_uri, read_config
from pixelbrain.errors import ConfigError


def test_defaults_and_offline():
    assert (RunConfig().classifier, RunConfig().embedder) == ("resnet50", "facenet")
    assert (RunConfig(offline=True).classifier, RunConfig(offline=True).embedder) == ("efficientnet-lite0", "dlib")
    assert RunConfig(offline=True, classifier="resnet18").classifier == "resnet18"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier": "vgg"}, "classifier is 'vgg'.*resnet50"),
        ({"embedder": 3}, "embedder is 3"),
        ({"clip_model": "local-dir:"}, "clip_model is 'local-dir:': it is one of ViT-B-32"),
        ({"labels": [3]}, "labels is .*list of names"),
        ({"label_template": "a {}"}, "give these, too, with --labels"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": "many"}, "top_k is 'many'"),
        ({"limit": 0}, "limit is 0"),
        ({"max_megapixels": None}, "max_megapixels is None: a whole number"),
        ({"modules": []}, "modules is empty"),
        ({"modules": ["resnet", "resnet"]}, "names one twice"),
        ({"modules": 5}, "list of names"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"mongo": "http://user:secret@host"}, r"user:\*\*\*@host"),
        ({"s3_endpoint": "localhost:9000"}, "starts with http"),
        ({"out": 5}, "out is 5"),
    ],
)
def test_what_cannot_work_is_named(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        RunConfig(**settings)
    assert "secret" not in str(caught.value)


def test_labels_bring_their_modules():
    assert RunConfig(modules=["clip"], labels="labels.txt").modules == ("clip", "clip_labels")
    assert RunConfig(modules=["clip_labels", "resnet"], labels=["cat"]).modules == ("clip_labels", "resnet", "clip")
    assert RunConfig(modules=["clip"]).modules == ("clip",)
    with pytest.raises(ConfigError, match="names one twice"):
        RunConfig(modules=["clip", "clip"])


def test_passwords_are_masked():
    config = RunConfig(mongo="mongodb://me:hunter2@db.example:27017/photos?tls=true")
    assert config.mongo is not None and "hunter2" in config.mongo
    assert "hunter2" not in repr(config) and "hunter2" not in str(config.as_dict())
    assert mask_uri(config.mongo) == "mongodb://me:***@db.example:27017/photos?tls=true"


def test_a_file_holds_the_same_settings(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("classifier: resnet18\nclasses: [tabby, tiger cat]\ntop_k: 3\n")
    config = RunConfig(**read_config(file))
    assert (config.classifier, config.classes, config.top_k) == ("resnet18", ("tabby", "tiger cat"), 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clasifier: resnet18", "'clasifier' is no setting; did you mean classifier"),
        ("- a\n- b", "holds no settings"),
        ("a: [", "is not YAML"),
        ("a: 2026-13-45", "is not YAML: month must be"),
    ],
)
def test_a_file_that_cannot_work_is_named(tmp_path, text, message):
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(file)
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(tmp_path / "absent.yaml")


def test_asking_needs_its_settings_and_the_module():
    assert RunConfig(modules=["resnet", "gpt4v"], gpt4v={"question": "people_detector"}).gpt4v
    for settings in ({"modules": ["resnet", "gpt4v"]}, {"gpt4v": {"question": "x"}}):
        with pytest.raises(ConfigError, match="go together"):
            RunConfig(**settings)

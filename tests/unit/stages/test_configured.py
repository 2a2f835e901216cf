"""What settings stand for: questions and weights, or an error that names what is wrong."""

from __future__ import annotations

import pytest

from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError
from pixelbrain.stages.configured import fetch_missing, make_asking
from pixelbrain.stages.display import LogDisplay
from tests.unit.engine.modules_for_tests import Size


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

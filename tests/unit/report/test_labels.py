"""From which probability on a label is shown: the classifier's own, or what is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pixelbrain.errors import ConfigError
from pixelbrain.report.labels import min_label_score
from tests.unit.report.landed_rows import MODELS, image_row


def test_it_belongs_to_the_classifier(land, monkeypatch):
    found = {}
    for model in ("efficientnet-lite0", "resnet50", "another"):
        monkeypatch.setitem(MODELS, "resnet", dataclasses.replace(MODELS["resnet"], model=model))
        found[model] = min_label_score(land([image_row("file:///a.jpg")]))
    assert found == {
        "efficientnet-lite0": np.float32(0.65), "resnet50": np.float32(0.35), "another": np.float32(0.65),
    }  # fmt: skip
    assert min_label_score(land([]), 0) == 0
    with pytest.raises(ConfigError, match="min_label_score is 65: a probability"):
        min_label_score(land([]), 65)

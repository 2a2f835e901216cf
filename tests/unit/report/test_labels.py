"""From which probability on a label is shown: the classifier's own, or what is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pixelbrain.errors import ConfigError
from pixelbrain.report.labels import shown_from
from tests.unit.report.landed_rows import MODELS, image_row


def test_it_belongs_to_the_classifier(land, monkeypatch):
    found = {}
    for model in ("efficientnet-lite0", "resnet50", "another"):
        monkeypatch.setitem(MODELS, "resnet", dataclasses.replace(MODELS["resnet"], model=model))
        found[model] = shown_from(land([image_row("file:///a.jpg")]))
    assert found == {
        "efficientnet-lite0": np.float32(0.65), "resnet50": np.float32(0.35), "another": np.float32(0.65),
    }  # fmt: skip
    assert shown_from(land([]), 0) == 0
    with pytest.raises(ConfigError, match="min_label_score is 65: a probability"):
        shown_from(land([]), 65)

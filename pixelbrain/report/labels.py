"""Which labels are shown as such: those of a probability that belongs to the classifier; below it a photo is unsure."""

from __future__ import annotations

import numpy as np

from pixelbrain.errors import ConfigError, MixedModelsError
from pixelbrain.landing.landing import Landing

#: By classifier. Measured, by looking at 124 pictures (96 photos, nearly all of people, and scikit-image's samples): of
#: efficientnet-lite0's labels those of 0.65 and more are right for 8 of 10, of 0.5 for 11 of 19, of 0.3 for 16 of 47.
#: resnet50's training (label smoothing, mixup, cutmix) makes its probabilities lower where it is right more often: at
#: 80.9 % accuracy its mean loss is 1.4 (github.com/pytorch/vision/issues/7570). Its number is a guess from that.
_LEAST = {"efficientnet-lite0": 0.65, "resnet18": 0.65, "resnet50": 0.35}
_LEAST_OF_OTHERS = 0.65


def shown_from(landing: Landing, given: float | None = None) -> float:
    """The probability, 0 to 1, from which on a label of OUT is shown: the given one, or the classifier's own.

    Raises:
        ConfigError: it is none.
    """
    if given is not None and not 0 <= given <= 1:
        raise ConfigError(f"min_label_score is {given}: a probability, 0 to 1")
    return float(np.float32(_of_classifier(landing) if given is None else given))  # as precise as the scores are


def _of_classifier(landing: Landing) -> float:
    try:
        model = landing.models().get("resnet")
    except MixedModelsError:  # no vector is compared: the labels can be shown all the same
        model = None
    return _LEAST.get(model.model, _LEAST_OF_OTHERS) if model else _LEAST_OF_OTHERS

"""`QualityGate`: what a face needs to join people, and what of it is not good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixelbrain.errors import ConfigError

#: What is measured of a face, the setting that says how much is enough, what a face with less is, and in a sentence.
_MEASURED = (
    ("width_px", "min_width_px", "small", "{value:.0f} px wide, of at least {least:g}"),
    ("score", "min_score", "uncertain", "{value:.0%} sure to be a face, of at least {least:.0%}"),
    ("sharpness", "min_sharpness", "blurred", "a sharpness of {value:.1f}, of at least {least:g}"),
    ("mouth_drop", "min_mouth_drop", "turned", "the mouth {value:.2f} widths below the eyes, of at least {least:g}"),
    ("nose_within", "min_nose_within", "turned", "in profile: the nose is outside of the eyes' span"),
    ("upright", "min_upright", "turned", "the detector is surer of it turned by a quarter or a half"),
    ("visible", "min_visible", "covered", "an eye or the mouth is covered, or not in the picture"),
)
#: Of these, those by which a face is a guest; see `QualityGate.fails`.
_GUESTS = ("nose_within", "visible")


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a face needs to join people. Others stay visible, as unassigned.

    Blurred faces are like each other whoever they are, so that a few of them join many people into one, and the more
    faces there are, the more such bridges. So are faces on their side, in profile, and behind dark glasses. Raises
    `ConfigError` for values that cannot work.
    """

    min_score: float = 0.95  # detection probability, 0 to 1; below it MTCNN's boxes are often no faces
    min_width_px: float = 30.0  # of the box, in the original's pixels
    # Variance of the Laplacian of the 160 px grey crop. 48 sharp faces of 6 people, blurred, embedded by dlib: at a
    # sharpness of 3.4 pairs of different people pass its threshold three times as often as sharp ones, at 2.5 twenty
    # times. Sharp faces are above 60; small ones, enlarged to 160 px, come down to 3 and are still recognised.
    min_sharpness: float = 3.0
    # Of the box's width. 109 upright faces: 0.36 and more; half of those found in photos on their side: less than 0.29.
    min_mouth_drop: float = 0.3
    # Of the eyes' distance: how far inside of the eyes' span the nose is. In profile it is outside; landmarks of a face
    # and of its mirror image differ by 0.1.
    min_nose_within: float = -0.1
    # Log odds, see `modules.faces.looks.measure_turns`: what tells a face upside down, whose landmarks look upright.
    # All of 115 upright ones are above 0.
    min_upright: float = 0.0
    min_visible: float = 1.0  # see `modules.faces.looks.measure_visible`

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}: a probability, 0 to 1")
        for name in ("min_width_px", "min_sharpness", "min_visible"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 (all faces) or more")
        for name in ("min_mouth_drop", "min_nose_within", "min_upright"):
            if np.isnan(getattr(self, name)):
                raise ConfigError(f"{name} is not a number; -inf is: all faces")

    def failures(self, metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What of a face is not good enough: a word each (small, uncertain, blurred, turned, covered), and a sentence.

        What was not measured is not held against a face.

        Args:
            metadata: `score`, `width_px`, `sharpness`, `upright`, `visible`, and those of `measure_pose`, or some.
        """
        found = []
        for name, setting, word, sentence in _MEASURED:
            value, least = metadata.get(name), getattr(self, setting)
            if value is not None and value < least:
                found.append((word, sentence.format(value=value, least=least)))
        return found

    def passes(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a face with this metadata may join people."""
        return not self.failures(metadata)

    def fails(self, measured: Mapping[str, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
        """The same of many faces, by columns (n,), where nan was not measured.

        Returns:
            bool (n,): those that do not pass; and of them those that are in profile or covered, and else good enough:
            such a face links nobody, as it is like others of its kind, but may still be clearly somebody's.
        """
        low = {name: measured[name] < getattr(self, least) for name, least, *_ in _MEASURED if name in measured}
        fails = np.logical_or.reduce([np.zeros(n, bool), *low.values()])
        return fails, fails & ~np.logical_or.reduce(
            [np.zeros(n, bool), *(found for name, found in low.items() if name not in _GUESTS)]
        )

"""Which faces are good enough to say who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pixelbrain.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """What a face needs to join people. Others stay visible, as unassigned.

    Blurred faces are like each other whoever they are, so that a few of them join many people into one, and the more
    faces there are, the more such bridges. Raises `ConfigError` for values that cannot work.
    """

    min_score: float = 0.95  # detection probability, 0 to 1; below it MTCNN's boxes are often no faces
    min_width_px: float = 30.0  # of the box, in the original's pixels
    # Variance of the Laplacian of the 160 px grey crop. 48 sharp faces of 6 people, blurred, embedded by dlib: at a
    # sharpness of 3.4 pairs of different people pass its threshold three times as often as sharp ones, at 2.5 twenty
    # times. Sharp faces are above 60; small ones, enlarged to 160 px, come down to 3 and are still recognised.
    min_sharpness: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}: a probability, 0 to 1")
        for name in ("min_width_px", "min_sharpness"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 (all faces) or more")

    def passes(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a face with this metadata (`score`, `width_px`, `sharpness`) may join people.

        What was not measured is not held against a face.
        """
        return (
            metadata.get("score", 1.0) >= self.min_score
            and metadata.get("width_px", self.min_width_px) >= self.min_width_px
            and metadata.get("sharpness", self.min_sharpness) >= self.min_sharpness
        )

"""Precision, recall and F over thresholds: the same faces, clustered at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.config import Strategy
from pixelbrain.errors import ConfigError
from pixelbrain.identity.assign import assign
from pixelbrain.identity.corrections.state import landed_vectors
from pixelbrain.identity.evaluate import ClusterScores, count_mixed, score_clusters
from pixelbrain.identity.evaluation.labels import LabelledFaces
from pixelbrain.identity.neighbours import nearest_neighbours
from pixelbrain.identity.quality.gate import QualityGate
from pixelbrain.identity.quality.pose import turned_or_covered
from pixelbrain.landing.landing import Landing

_STEPS = 24
#: Distances (1 - cosine) that are looked at: these shares of the distance that is in use.
_FROM, _TO = 0.35, 1.8


@dataclass(frozen=True, kw_only=True)
class Point:
    """One threshold."""

    threshold: float  # cosine similarity
    people: int  # found, of all faces
    mixed: int  # of those with labelled faces, the people that hold several labelled ones
    scores: ClusterScores


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Thresholds from low (all are one) to high (each is alone)."""

    model: str
    strategy: Strategy
    used: float  # the threshold that is in use, one of the points
    points: tuple[Point, ...]

    def choose(self, precision: float) -> Point:
        """The threshold of the highest F at which, and above which, pairs are right so often.

        Raises:
            ConfigError: none is that good.
        """
        good: list[Point] = []
        for point in reversed(self.points):
            if point.scores.pair_p < precision:
                break
            good.append(point)
        if not good or not any(point.scores.pair_r > 0 for point in good):
            best = max(self.points, key=lambda point: point.scores.pair_p)
            raise ConfigError(
                f"no threshold puts pairs together at a precision of {precision:g}: the best is "
                f"{best.scores.pair_p:.3f} at {best.threshold:.3f}; more labelled photos, or a lower --calibrate"
            )
        return max(good, key=lambda point: (point.scores.pair_f, point.threshold))


def threshold_curve(
    landing: Landing,
    labelled: LabelledFaces,
    *,
    used: float,
    model: str,
    strategy: Strategy = "average",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Curve:
    """Cluster all faces of OUT that are good enough at 25 thresholds around the one in use.

    The vectors are read from Parquet, so no store is needed: float32 (faces, d) in memory.
    """
    gate = QualityGate()
    faces = labelled.faces
    width = pc.subtract(faces["x2"], faces["x1"])
    columns = {"score": faces["score"], "sharpness": faces["sharpness"], "width_px": width}
    numbers = {name: np.asarray(column.cast(pa.float64())) for name, column in columns.items()}
    out, unsure = (
        np.asarray(pc.is_in(faces["face_id"], value_set=pa.array(which, pa.string())))
        for which in turned_or_covered(landing, gate)
    )
    chosen = np.flatnonzero(~gate.fails(numbers, len(faces))[0] & ~out)
    guests = unsure[chosen]
    vectors = landed_vectors(landing, faces)(chosen)
    ids, photos = (faces[name].take(chosen).to_pylist() for name in ("face_id", "image_id"))
    neighbours: list[tuple[np.ndarray, np.ndarray]] = []

    def found(unit: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if not neighbours:  # they are the same at each threshold
            neighbours.append(nearest_neighbours(unit, k))
        return neighbours[0]

    place = np.full(len(faces) + 1, -1)  # and of -1, a face that was not detected
    place[chosen] = np.arange(len(chosen))
    labels = place[labelled.face]
    truth = labelled.person.astype(str)
    points = []
    distances = (1 - used) * np.concatenate(
        [np.linspace(_TO, 1, _STEPS // 2, endpoint=False), np.linspace(1, _FROM, _STEPS // 2 + 1)]
    )
    for number, threshold in enumerate((1 - distances).tolist()):
        threshold = min(max(threshold, -0.99), 0.9999)
        cluster = assign(
            ids, vectors, threshold=threshold, strategy=strategy, photos=photos, neighbours=found, guests=guests
        ).cluster
        whose = np.where(labels >= 0, np.append(cluster, -1)[labels], -1)
        numbered = np.where(whose >= 0, whose, -1 - np.arange(len(whose)))  # whoever is alone is a person apart
        _several, mixed = count_mixed(truth, numbered)
        scores = score_clusters(truth, numbered)
        people = len(np.unique(cluster[cluster >= 0]))
        points.append(Point(threshold=threshold, people=people, mixed=mixed, scores=scores))
        progress(number + 1, len(distances))
    return Curve(model=model, strategy=strategy, used=used, points=tuple(points))

"""How alike two vectors of a model are when they show the same: one cosine threshold a model and strategy.

Cosine similarities of different models do not compare (dlib's vectors of two strangers are at 0.8), so a threshold
belongs to the model that it was measured or published for, and there is no default for an unknown one.

Vectors are compared as they are, not centred. Centring can help, but only on a mean that belongs to the model: on
data/people, subtracting the set's own mean, which few people pull to themselves, cost 0.05 to 0.25 of pairwise F.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import TypeVar

from pixelbrain.config import STRATEGIES, Strategy, choose
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.storage.base import Storage

T = TypeVar("T")
logger = logging.getLogger(__name__)

#: Of OUT: thresholds that were chosen on labelled photos, by model and strategy.
FILE = "thresholds.json"

#: How the name of an embedder begins that is an ONNX file of the user's own; its sha256 follows.
ONNX = "onnx-"

# Of two clusters, the mean over all pairs across them (average); of two faces, for one to reach the other (dbscan), and
# to be one person (pairwise).
_FACES: dict[str, dict[str, float]] = {
    # Measured on MTCNN's boxes. Linkage at 0.914: pairwise F .976 and .929 on two photo sets; on the 25 labelled photos
    # among DeepFace's tests, which did not choose it, no mistake from 0.908 to 0.925. Chains need more: on data/people
    # two of six people are joined at 0.92, none at 0.93 (F .976), and at 0.94 people begin to fall apart.
    "dlib": {"average": 0.914, "dbscan": 0.93, "pairwise": 0.93},
    # Published, not measured here. DeepFace verifies two faces by FaceNet-512 at cosine 0.70, and PhotoPrism, whose
    # clusters are DBSCAN's, joins them at a Euclidean distance of 0.64, which is cosine 0.795. The mean over all pairs
    # across two clusters is lower than over their nearest: 0.55.
    "facenet-vggface2": {"average": 0.55, "dbscan": 0.795, "pairwise": 0.795},
    "facenet-casia-webface": {"average": 0.55, "dbscan": 0.795, "pairwise": 0.795},
    # Of models like ArcFace, published, not measured here, and of each file another: Immich joins faces of
    # InsightFace's buffalo_l at cosine 0.5. The mean over all pairs across two clusters is lower: 0.4.
    ONNX: {"average": 0.4, "dbscan": 0.5, "pairwise": 0.5},
}

_GROUPS: dict[str, float] = {
    # Of 185 photos (data/people and other samples), 99.5 % of the pairs of different ones are below it; of 37 photos,
    # every one is above it with its own crop to 90 %, its mirror image and 1.3 times its brightness.
    "efficientnet-lite0": 0.75,
    # Not measured here: their pooled features are never negative, so unrelated photos are nearer to each other.
    "resnet50": 0.8,
    "resnet18": 0.85,
    # Not measured here, and high: what has nothing to do with each other is at about 0.5 in CLIP's vectors.
    "clip-ViT-B-32": 0.85,
    "clip-ViT-L-14": 0.85,
}

# Of two photos of which one is the other, cut: the least cosine, and the most bits in which their perceptual hashes
# differ. Neither says it alone. Of 417 pieces of photos, which show different things, no two of 86,736 pairs are within
# both, nor are any of 112 whole photos (two shots of one scene, one after the other, are at .876 and 22 bits); a piece
# with a tenth cut off is in 79 % of all cases, with a quarter in 6 %; docs/performance.md has what comes of it.
_CUT: dict[str, tuple[float, int]] = {"efficientnet-lite0": (0.9, 20)}
_CUT_OF_OTHERS = (0.97, 26)  # not measured


def face_threshold(model: str, strategy: Strategy) -> float:
    """The cosine similarity at which `strategy` takes two faces (or clusters) of `model`'s vectors for one person.

    Raises:
        ConfigError: an unknown strategy, or a model that has no threshold.
    """
    choose("strategy", strategy, STRATEGIES)
    if model.startswith(ONNX):
        logger.warning(
            "the threshold of an ONNX embedder is a guess, %s: `pixelbrain evaluate --calibrate` finds its own",
            _FACES[ONNX][strategy],
        )
        return _FACES[ONNX][strategy]
    return _of_model(model, _FACES)[strategy]


def group_threshold(model: str) -> float:
    """The mean cosine similarity at which two groups of images, by `model`'s vectors, are one.

    Raises:
        ConfigError: a model that has no threshold.
    """
    return _of_model(model, _GROUPS)


def cut_threshold(model: str) -> tuple[float, int]:
    """From which cosine of `model`'s vectors on, and to how many bits of the hashes, a photo is another one, cut."""
    return _CUT.get(model, _CUT_OF_OTHERS)


def _of_model(model: str, known: dict[str, T]) -> T:
    if model in known:
        return known[model]
    names = ", ".join(name for name in known if name != ONNX)
    raise ConfigError(f"no threshold is known for vectors of {model!r} (only of {names}): give threshold=, a cosine")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A threshold that was chosen on labelled photos, kept in OUT: `identify` takes it where none is given."""

    model: str
    strategy: str
    threshold: float  # cosine similarity
    pair_p: float  # on the labelled photos
    pair_r: float
    labelled: int  # faces


def read_calibrations(storage: Storage) -> dict[str, Calibration]:
    """By "model strategy"; none before a calibration. Raises `LandingError` for a file that says something else."""
    found = storage.read(FILE)
    if found is None:
        return {}
    try:
        return {key: Calibration(**one) for key, one in json.loads(found).items()}
    except (ValueError, TypeError, AttributeError):
        raise LandingError(f"{storage.uri}/{FILE} is damaged: delete it, and calibrate again") from None


def write_calibration(storage: Storage, one: Calibration) -> None:
    """Keep it in place of an earlier one of the same model and strategy. The caller holds the run lock."""
    known = {**read_calibrations(storage), f"{one.model} {one.strategy}": one}
    storage.write(FILE, json.dumps({key: asdict(value) for key, value in known.items()}, indent=1).encode())


def threshold_of(storage: Storage, model: str, strategy: str) -> float:
    """What `identify` takes in this OUT: the calibrated threshold, or the model's own.

    Raises:
        ConfigError: neither is known.
    """
    calibrated = read_calibrations(storage).get(f"{model} {strategy}")
    return calibrated.threshold if calibrated is not None else face_threshold(model, strategy)  # type: ignore[arg-type]

"""A threshold that was chosen on labelled photos, kept in OUT: `identify` takes it where none is given."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pixelbrain.errors import LandingError
from pixelbrain.identity.thresholds import face_threshold
from pixelbrain.storage.base import Storage

#: By model and strategy.
FILE = "thresholds.json"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Where a threshold comes from."""

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

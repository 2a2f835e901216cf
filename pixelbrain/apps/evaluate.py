"""How well the people of an OUT match labels: the table that people read, the curve, and the threshold that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.config import Strategy
from pixelbrain.errors import ConfigError
from pixelbrain.identity.evaluation.curve import Curve, Point, threshold_curve
from pixelbrain.identity.evaluation.drawing import draw_curve
from pixelbrain.identity.evaluation.evaluate import Evaluation, evaluate
from pixelbrain.identity.evaluation.labels import LabelledFaces, find_labelled, folder_labels, read_labels
from pixelbrain.identity.thresholds import Calibration, threshold_of, write_calibration
from pixelbrain.storage.local import LocalStorage

if TYPE_CHECKING:
    from pixelbrain.stages.stages import Stages

_SHOWN = 20  # people, and mixed ones


def evaluate_people(
    stages: Stages,
    *,
    labels: str | None = None,
    folders: str | None = None,
    nobody: str | None = None,
    curve_file: str | None = None,
    calibrate: float | None = None,
) -> dict[str, Any]:
    """Compare the people of OUT with labels, a CSV or a folder a person.

    Args:
        curve_file: where to draw precision, recall and F over thresholds, an SVG.
        calibrate: the precision of pairs to reach; the threshold that does is kept in OUT, and `identify` takes it.

    Returns:
        `evaluation`, and where they were asked for `curve` and `chosen`; see `lines`.

    Raises:
        ConfigError: labels that cannot be read or fit nothing in OUT, nobody was identified yet, or no threshold is
            that precise.
        LandingError: the picture or OUT cannot be written.
    """
    if (labels is None) == (folders is None):
        raise ConfigError("give --labels FILE or --folders DIR, and not both")
    if calibrate is not None and not 0 < calibrate <= 1:
        raise ConfigError(f"calibrate is {calibrate:g}: a precision between 0 and 1, as in 0.99")
    landing, strategy = stages.landing.require(), stages.config.strategy
    if "facenet" not in landing.index.modules:
        raise ConfigError(f"no faces have landed in {landing.storage.uri}: pixelbrain extract --module facenet")
    if folders is not None:
        said = folder_labels(folders, landing.index.image_id.to_pylist(), nobody=nobody)
        labelled = find_labelled(landing, said)
    else:
        file = Path(str(labels))
        labelled = find_labelled(landing, read_labels(file), beside=file.parent)
    found: dict[str, Any] = {"evaluation": evaluate(landing, labelled)}
    if curve_file is not None or calibrate is not None:
        curve = found["curve"] = _curve(stages, labelled, strategy)
        chosen = curve.choose(calibrate) if calibrate is not None else None
        if curve_file is not None:
            picture = Path(curve_file)
            LocalStorage(picture.parent).write(picture.name, draw_curve(curve, chosen).encode())
        if chosen is not None:
            found["chosen"] = chosen
            _keep(stages, curve, chosen, len(labelled.person))
    return found


def _curve(stages: Stages, labelled: LabelledFaces, strategy: Strategy) -> Curve:
    landing = stages.landing
    info = landing.models().get("facenet")
    if info is None:
        raise ConfigError(f"nobody knows which model computed the faces of {landing.storage.uri}: extract --force")
    model = info.model
    with stages.display.stage("evaluate", unit="thresholds") as tell:
        used = threshold_of(landing.storage, model, strategy)
        return threshold_curve(landing, labelled, used=used, model=model, strategy=strategy, progress=tell)


def _keep(stages: Stages, curve: Curve, chosen: Point, labelled: int) -> None:
    with stages.context.lock("evaluate"):
        write_calibration(
            stages.storage,
            Calibration(
                model=curve.model,
                strategy=curve.strategy,
                threshold=chosen.threshold,
                pair_p=chosen.scores.pair_p,
                pair_r=chosen.scores.pair_r,
                labelled=labelled,
            ),  # fmt: skip
        )


def lines(found: dict[str, Any], out: str) -> list[str]:
    """What people read, for a terminal of 80 columns."""
    one: Evaluation = found["evaluation"]
    scores = one.scores
    said = [
        f"{one.faces:,} labelled faces of {one.people:,} people; {one.people_found:,} people found for them, "
        f"{len(one.mixed):,} of them mixed",
        "",
        f"{'':10}{'precision':>10}{'recall':>10}{'F':>10}",
        f"{'pairs':10}{scores.pair_p:10.3f}{scores.pair_r:10.3f}{scores.pair_f:10.3f}",
        f"{'BCubed':10}{scores.bcubed_p:10.3f}{scores.bcubed_r:10.3f}{scores.bcubed_f:10.3f}",
        "",
        f"{'person':24}{'faces':>7}{'in one':>8}{'people':>8}{'alone':>7}{'no face':>9}",
    ]
    for row in one.of_people[:_SHOWN]:
        name = row.name if len(row.name) < 24 else f"{row.name[:22]}…"
        said.append(
            f"{name:24}{row.labelled:7,}{row.share:8.0%}{row.pieces:8,}{row.alone - row.not_found:7,}{row.not_found:9,}"
        )
    if len(one.of_people) > _SHOWN:
        said.append(f"and {len(one.of_people) - _SHOWN:,} more, who came out as well or better")
    for who, of in list(one.mixed.items())[:_SHOWN]:
        said.append(f"mixed     {who}: " + ", ".join(f"{count:,} of {name}" for name, count in of.items()))
    if one.not_in_out:
        said.append(f"{one.not_in_out:,} labelled photos are not in {out}, and were left out")
    if (curve := found.get("curve")) is not None:
        said += ["", f"{'threshold':>9}{'people':>8}{'mixed':>7}{'precision':>11}{'recall':>8}{'F':>8}"]
        for point in curve.points:
            mark = "  in use" if point.threshold == curve.used else "  chosen" if point is found.get("chosen") else ""
            of = point.scores
            said.append(
                f"{point.threshold:9.3f}{point.people:8,}{point.mixed:7,}{of.pair_p:11.3f}{of.pair_r:8.3f}{of.pair_f:8.3f}{mark}"
            )
    if (chosen := found.get("chosen")) is not None:
        said += ["", f"{out} keeps {chosen.threshold:.3f} for its people from now on: pixelbrain identify {out}"]
    return said

"""The demo: the main job on the photos that come along, with models that come inside packages."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

from packaging.requirements import Requirement

from pixelbrain.config import RunConfig
from pixelbrain.errors import MissingExtraError
from pixelbrain.stages.display import Display
from pixelbrain.stages.stages import Stages

#: Sixteen photos: three people, four times each, and four things. See SAMPLES.md here.
SAMPLES = Path(__file__).parent.parent / "samples"


def _require_extras(*extras: str) -> None:
    """All packages that are missing, said at once. Raises `MissingExtraError`."""
    missing = []
    for line in importlib.metadata.requires("pixelbrain") or ():
        wanted = Requirement(line)
        if wanted.marker and any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            try:
                importlib.metadata.distribution(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                missing.append(wanted.name)
    if missing:
        origin = importlib.metadata.distribution("pixelbrain").read_text("direct_url.json")
        place = f" @ {json.loads(origin)['url']}" if origin else ""
        raise MissingExtraError(
            f"the demo needs {', '.join(missing)}: pip install 'pixelbrain[{','.join(extras)}]{place}'"
        )


def run_demo(out: str, display: Display, *, debug: bool = False) -> list[str]:
    """Extract, load, identify, group and report on the sample photos.

    Returns:
        Lines that say what was found, the gallery's path last.

    Raises:
        MissingExtraError: packages of the extras `local` and `offline` are not installed.
    """
    _require_extras("local", "offline")
    stages = Stages(RunConfig(source=str(SAMPLES), out=out, offline=True, executor="ray"), display, debug=debug)
    display.line(f"Photos: {SAMPLES}")
    reports = stages.run(then=("identify", "group", "report"))
    extracted, loaded, people, groups = (reports[name] for name in ("extract", "load", "identify", "group"))
    speed = f"{extracted.images_per_s:.1f} images/s" if extracted.done else "all had landed before"
    return [
        "",
        f"{extracted.listed} images ({extracted.failed} failed), {people.faces} faces, {people.people} people, "
        f"{groups.groups} groups; {speed}",
        f"Parquet in {stages.storage.uri}/images, {loaded.images} documents in MongoDB, "
        f"{loaded.image_vectors + loaded.face_vectors} vectors in ChromaDB",
        f"Open the gallery: {reports['report'].as_uri()}",
    ]

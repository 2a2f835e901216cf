"""The demo: the main job on the photos that come along, with models that come inside packages."""

from __future__ import annotations

from pathlib import Path

from pixelbrain.config import RunConfig
from pixelbrain.stages.display import Display
from pixelbrain.stages.stages import Stages

#: Sixteen photos: three people, four times each, and four things. See SOURCES.md there.
SAMPLES = Path(__file__).parent.parent / "samples"


def run_demo(out: str, display: Display, *, debug: bool = False) -> list[str]:
    """Extract, load, identify, group and report on the sample photos.

    Returns:
        Lines that say what was found, the gallery's path last.
    """
    stages = Stages(RunConfig(source=str(SAMPLES), out=out, offline=True), display, debug=debug)
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

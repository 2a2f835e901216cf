"""The demo: the main job on the photos that come along, with models that come inside packages."""

from __future__ import annotations

from pathlib import Path

from pixelbrain.config import RunConfig
from pixelbrain.display import Display
from pixelbrain.workflow import Workflow

__all__ = ["SAMPLES", "run_demo"]

#: Sixteen photos: three people, four times each, and four things. See SOURCES.md there.
SAMPLES = Path(__file__).parent.parent / "samples"


def run_demo(out: str, display: Display, *, debug: bool = False) -> list[str]:
    """Extract, load, identify, group and report on the sample photos.

    Returns:
        Lines that say what was found, the gallery's path last.
    """
    workflow = Workflow(RunConfig(source=str(SAMPLES), out=out, offline=True), display, debug=debug)
    display.line(f"Photos: {SAMPLES}")
    extracted = workflow.extract()
    with workflow.database() as database:
        loaded = workflow.load(database)
        people = workflow.identify(database)
        groups = workflow.group(database)
    gallery = workflow.report()
    speed = f"{extracted.images_per_s:.1f} images/s" if extracted.done else "all had landed before"
    return [
        "",
        f"{extracted.listed} images ({extracted.failed} failed), {people.faces} faces, {people.people} people, "
        f"{groups.groups} groups; {speed}",
        f"Parquet in {workflow.storage.uri}/images, {loaded.images} documents in MongoDB, "
        f"{loaded.image_vectors + loaded.face_vectors} vectors in ChromaDB",
        f"Open the gallery: {gallery.as_uri()}",
    ]

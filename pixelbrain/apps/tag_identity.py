"""tag_identity: who is in which photo, from a folder to a CSV; the predecessor's app on this engine."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

import pyarrow.compute as pc

from pixelbrain.asking.module import Gpt4VModule
from pixelbrain.config import Strategy
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.machine import cache_folder
from pixelbrain.sources import one_name
from pixelbrain.sources.local import FILE_SCHEME, uri_to_path
from pixelbrain.stages.configured import run_config
from pixelbrain.stages.display import Display
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.local import why_not_writable
from pixelbrain.storage.tables import write_csv

#: A folder for the results of all database ids.
HOME_VARIABLE = "PIXELBRAIN_HOME"


def tag_identity(
    *,
    data_path: str,
    export_file: str,
    database_id: str | None = None,
    identity_field_name: str = "identity",
    identifying_strategy: Strategy = "average",
    remove: bool = False,
    embedder: str | None = None,
    weights_dir: str | None = None,
    offline: bool = False,
    max_megapixels: int | None = None,
    apply_people_detector: bool = False,
    base_url: str | None = None,
    executor: str | None = None,
    display: Display | None = None,
    debug: bool = False,
) -> str:
    """Find the faces of all photos, cluster them to people, and export a row an image.

    The results stay under `$PIXELBRAIN_HOME` (~/.cache/pixelbrain by default), by `database_id`, or else by the source,
    whatever folder it is named from and however, so that a rerun only does what is new; `remove` deletes them after the
    export. `apply_people_detector` asks GPT-4 Vision first whether a photo shows a real person, and names nobody in
    those that do not (posters, statues).

    Returns:
        A line that says what was exported.

    Raises:
        ConfigError: a value that cannot work.
    """
    if not export_file.lower().endswith(".csv"):
        raise ConfigError(f"--export {export_file}: its name ends in .csv")
    folder = Path(export_file).absolute().parent
    if why := why_not_writable(folder) or (None if folder.is_dir() else f"there is no folder {folder}"):
        raise LandingError(f"--export {export_file}: {why}")
    if not identity_field_name or identity_field_name == "image":
        raise ConfigError(f"--identity_field_name {identity_field_name!r}: a name, and not `image`")
    source = one_name(data_path)  # a folder by another name has the same photos, under the same ids
    name = database_id or "tag-" + hashlib.sha256(source.encode()).hexdigest()[:10]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ConfigError(f"--database_id {name!r}: letters, digits, dots, _ and -")
    out = Path(os.environ.get(HOME_VARIABLE) or cache_folder() / "pixelbrain") / name
    config = run_config(
        {
            "source": source,
            "out": str(out),
            "modules": ("facenet",),
            "embedder": embedder,
            "weights_dir": weights_dir,
            "offline": offline or None,  # not said: the model that these results have
            "max_megapixels": max_megapixels,
            "retry_failed": max_megapixels is not None,  # those that were too large before
            "strategy": identifying_strategy,
            "executor": executor,
        }
    )
    asking = (
        [Gpt4VModule("people_detector", base_url=base_url, max_megapixels=config.max_megapixels)]
        if apply_people_detector
        else []
    )
    stages = Stages(config, display, debug=debug, asking=asking)
    people = stages.run(then=("identify",))["identify"]
    nobody = _without_a_person(stages.landing) if asking else frozenset()
    rows = _export(stages.landing, Path(export_file), identity_field_name, nobody)
    if remove:
        shutil.rmtree(out)
    return f"{rows:,} images, {people.people:,} people, to {export_file}"


def _without_a_person(landing: Landing) -> frozenset[str]:
    """The images that the people detector says show no real person."""
    if "is_person" not in landing.answers:
        return frozenset()
    found: list[str] = []
    for table in landing.iter_images(["is_person"]):
        no = pc.fill_null(pc.invert(pc.struct_field(table["is_person"], "answer")), False)
        found += table["image_id"].filter(no).to_pylist()
    return frozenset(found)


def _export(landing: Landing, file: Path, field: str, nobody: frozenset[str]) -> int:
    """image (a path, or an S3 URI), and its identities or their names joined with ;, but those of images of nobody"""
    called = read_registry(landing.storage).names
    who: dict[str, set[str]] = {}
    identities = IDENTITIES.read(landing).rows
    for row in identities.to_pylist() if identities is not None else ():
        if row["identity_id"] and row["image_id"] not in nobody:
            who.setdefault(row["image_id"], set()).add(called.get(row["identity_id"], row["identity_id"]))
    image_ids = landing.index.image_id.to_pylist()
    shown = (str(uri_to_path(one)) if one.startswith(FILE_SCHEME) else one for one in image_ids)
    rows = ([name, ";".join(sorted(who.get(one, ())))] for name, one in zip(shown, image_ids, strict=True))
    try:
        return write_csv(file, ["image", field], rows)
    except OSError as error:
        raise LandingError(f"cannot write {file}: {error.strerror}") from None

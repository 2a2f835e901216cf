"""OUT as a data set in another program's format: where it goes, how far it is, and what is told of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pixelbrain.errors import ConfigError
from pixelbrain.storage.open import open_storage
from pixelbrain.storage.s3_uri import S3_SCHEME

if TYPE_CHECKING:
    from pixelbrain.report.exports.shards import ShardsReport
    from pixelbrain.stages.stages import Stages
    from pixelbrain.storage.base import Storage

_FEW = 5  # photos that were left out are named


def export_coco(
    stages: Stages,
    to: str,
    *,
    root: str | None = None,
    min_label_score: float | None = None,
    where: str | None = None,
) -> tuple[int, str]:
    """Write one JSON of the COCO format; see `report.exports.coco.write_coco`.

    Args:
        to: a file whose name ends in .json, on disk or in S3.
        root: a folder or an s3:// prefix that file names are relative to.
        where: only the images for which this is true, see `landing.where.language`.

    Returns:
        Images, and what file names are relative to; "" where to nothing.
    """
    from pixelbrain.report.exports.coco import write_coco

    folder, _, name = to.rpartition("/")
    if not name.lower().endswith(".json"):
        raise ConfigError(f"cannot export COCO to {name or to!r}: its name must end in .json; - is standard output")
    if root is not None and not root.startswith(S3_SCHEME):
        root = os.path.abspath(os.path.expanduser(root))
    storage = _storage(stages, folder or ("/" if to.startswith("/") else "."))
    if storage.is_local and not storage.local.is_dir():
        raise ConfigError(f"no folder {storage.local} to write {name} to: make it first")
    images = stages.context.choose(where)
    with stages.display.stage("export") as tell:
        return write_coco(
            stages.landing.require(),
            storage,
            name,
            root=root,
            min_label_score=_least(stages, min_label_score),
            images=images,
            progress=tell,
        )


def export_webdataset(
    stages: Stages,
    to: str,
    *,
    shard_size: int | str | None = None,
    min_label_score: float | None = None,
    where: str | None = None,
) -> ShardsReport:
    """Write tar files as WebDataset reads them; see `report.exports.shards.write_shards`.

    Args:
        to: a folder, which is made, or an s3:// prefix.
        shard_size: bytes, or a text such as 1GB.
        where: only the images for which this is true.
    """
    from pixelbrain.report.exports.shards import SHARD_SIZE, write_shards

    if to == "-" or to.lower().endswith((".tar", ".tgz", ".gz")):
        raise ConfigError(f"webdataset is a folder of tar files: name a folder or s3://bucket/prefix, and not {to}")
    storage, images = _storage(stages, to), stages.context.choose(where)
    with stages.display.stage("export", "photos") as tell:
        report = write_shards(
            stages.landing.require(),
            storage,
            shard_size=shard_size or SHARD_SIZE,
            s3_endpoint=stages.config.s3_endpoint,
            min_label_score=_least(stages, min_label_score),
            images=images,
            progress=tell,
        )
    if report.left_out:
        stages.display.warn(
            f"{len(report.left_out):,} photos were left out, all of them named in {storage.uri}/index.json; "
            "the same command tries them again"
        )
        for image_id, why in [*report.left_out.items()][:_FEW]:
            stages.display.warn(f"  {image_id}: {why}")
    return report


def _storage(stages: Stages, place: str) -> Storage:
    return open_storage(place, s3_endpoint=stages.config.s3_endpoint)


def _least(stages: Stages, given: float | None) -> float | None:
    """The least probability of a label; the one that OUT's reports and exports had, if not given."""
    return stages.config.min_label_score if given is None else given

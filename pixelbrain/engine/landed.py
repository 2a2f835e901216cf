"""What has landed, as a dataset of Ray's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelbrain.engine.cluster.session import set_environment
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    import ray.data


def landed_dataset(storage: Storage, folder: str) -> ray.data.Dataset:
    """The Parquet files of a folder of `landing.published`, read when they are used, by the workers."""
    set_environment()
    import ray.data

    filesystem, path = storage.arrow(folder)
    return ray.data.read_parquet(path, filesystem=filesystem)

"""What all workers of a run share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixelbrain.landing.parts import ModuleState
from pixelbrain.storage.base import Storage

__all__ = ["WorkOrder"]


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """Where the rows go, what they say about the modules that made them, and how images are opened."""

    storage: Storage
    generation: int
    states: Mapping[str, ModuleState]
    s3_endpoint: str | None = None  # of the images
    versions_as_read: bool = True  # see `ImageSource.lists_read_versions`
    device: str = "cpu"
    threads: int = 2  # for decoding, and for the models on a CPU

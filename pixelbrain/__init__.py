"""Pixelbrain: turn a pile of photos, on disk or in S3, into answers: what is in each picture, and who.

    import pixelbrain as pb

    modules = [pb.ResnetClassifierModule(), pb.FacenetEmbedderModule()]
    pb.Pipeline(pb.DataLoader("photos/"), modules).run("out/")
    with pb.Database.open("out/") as database:
        pb.PeopleIdentifierModule().run(database)

Names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.config import Placement
    from pixelbrain.errors import PixelbrainError
    from pixelbrain.identity.people import PeopleIdentifierModule
    from pixelbrain.images.decode import DecodedImage, DecodeTarget
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.images.preprocess import Preprocessor
    from pixelbrain.landing.landing import Landing
    from pixelbrain.modules.base import PipelineModule, Resources
    from pixelbrain.modules.facenet import FacenetEmbedderModule
    from pixelbrain.modules.resnet import ResnetClassifierModule
    from pixelbrain.pipeline import Pipeline
    from pixelbrain.pipeline import Pipeline as TaggingPipeline
    from pixelbrain.stores.database import Database

__all__ = [
    "DataLoader",
    "Database",
    "DecodeTarget",
    "DecodedImage",
    "FacenetEmbedderModule",
    "Gpt4VModule",
    "Landing",
    "PeopleIdentifierModule",
    "Pipeline",
    "PipelineModule",
    "PixelbrainError",
    "Placement",
    "Preprocessor",
    "ResnetClassifierModule",
    "Resources",
    "TaggingPipeline",
]

_HOMES = {
    "DataLoader": "pixelbrain.images.loader",
    "Database": "pixelbrain.stores.database",
    "DecodeTarget": "pixelbrain.images.decode",
    "DecodedImage": "pixelbrain.images.decode",
    "FacenetEmbedderModule": "pixelbrain.modules.facenet",
    "Gpt4VModule": "pixelbrain.asking.module",
    "Landing": "pixelbrain.landing.landing",
    "PeopleIdentifierModule": "pixelbrain.identity.people",
    "Pipeline": "pixelbrain.pipeline",
    "PipelineModule": "pixelbrain.modules.base",
    "PixelbrainError": "pixelbrain.errors",
    "Placement": "pixelbrain.config",
    "Preprocessor": "pixelbrain.images.preprocess",
    "ResnetClassifierModule": "pixelbrain.modules.resnet",
    "Resources": "pixelbrain.modules.base",
}


def __getattr__(name: str) -> Any:
    if name == "TaggingPipeline":  # the predecessor's name
        return __getattr__("Pipeline")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

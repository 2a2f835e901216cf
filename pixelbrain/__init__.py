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
    from pixelbrain.asking.module import Gpt4VModule as Gpt4VModule
    from pixelbrain.config import Placement as Placement
    from pixelbrain.errors import PixelbrainError as PixelbrainError
    from pixelbrain.identity.corrections.people import People as People
    from pixelbrain.identity.people import PeopleIdentifierModule as PeopleIdentifierModule
    from pixelbrain.images.decode import DecodedImage as DecodedImage
    from pixelbrain.images.decode import DecodeTarget as DecodeTarget
    from pixelbrain.images.preprocess import Preprocessor as Preprocessor
    from pixelbrain.images.shaped import ShapePreprocessor as ShapePreprocessor
    from pixelbrain.landing.landing import Landing as Landing
    from pixelbrain.landing.where.language import Where as Where
    from pixelbrain.landing.where.loader import DataLoader as DataLoader
    from pixelbrain.modules.base import PipelineModule as PipelineModule
    from pixelbrain.modules.base import Resources as Resources
    from pixelbrain.modules.clip import ClipEmbedderModule as ClipEmbedderModule
    from pixelbrain.modules.clip_labels import ClipLabelsModule as ClipLabelsModule
    from pixelbrain.modules.exif import ExifModule as ExifModule
    from pixelbrain.modules.facenet import FacenetEmbedderModule as FacenetEmbedderModule
    from pixelbrain.modules.faces.module import FaceModule as FaceModule
    from pixelbrain.modules.quality import QualityModule as QualityModule
    from pixelbrain.modules.resnet import ResnetClassifierModule as ResnetClassifierModule
    from pixelbrain.pipeline import Pipeline as Pipeline
    from pixelbrain.pipeline import TaggingPipeline as TaggingPipeline
    from pixelbrain.pipeline import forget as forget
    from pixelbrain.results import Results as Results
    from pixelbrain.results import open as open
    from pixelbrain.stores.database import Database as Database

#: Where each public name is defined.
_HOMES = {
    "ClipEmbedderModule": "pixelbrain.modules.clip",
    "ClipLabelsModule": "pixelbrain.modules.clip_labels",
    "DataLoader": "pixelbrain.landing.where.loader",
    "Database": "pixelbrain.stores.database",
    "DecodeTarget": "pixelbrain.images.decode",
    "DecodedImage": "pixelbrain.images.decode",
    "ExifModule": "pixelbrain.modules.exif",
    "FaceModule": "pixelbrain.modules.faces.module",
    "FacenetEmbedderModule": "pixelbrain.modules.facenet",
    "Gpt4VModule": "pixelbrain.asking.module",
    "Landing": "pixelbrain.landing.landing",
    "People": "pixelbrain.identity.corrections.people",
    "PeopleIdentifierModule": "pixelbrain.identity.people",
    "Pipeline": "pixelbrain.pipeline",
    "PipelineModule": "pixelbrain.modules.base",
    "PixelbrainError": "pixelbrain.errors",
    "Placement": "pixelbrain.config",
    "Preprocessor": "pixelbrain.images.preprocess",
    "QualityModule": "pixelbrain.modules.quality",
    "ResnetClassifierModule": "pixelbrain.modules.resnet",
    "Resources": "pixelbrain.modules.base",
    "Results": "pixelbrain.results",
    "ShapePreprocessor": "pixelbrain.images.shaped",
    "TaggingPipeline": "pixelbrain.pipeline",
    "Where": "pixelbrain.landing.where.language",
    "forget": "pixelbrain.pipeline",
    "open": "pixelbrain.results",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

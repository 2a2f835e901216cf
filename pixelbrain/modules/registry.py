"""From a module's name, or `package.file:Class`, to the module."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.modules.base import PipelineModule

#: The modules that come with Pixelbrain, as `package.file:Class`, so that naming them loads nothing.
MODULES: dict[str, str] = {
    "resnet": "pixelbrain.modules.resnet:ResnetClassifierModule",
    "facenet": "pixelbrain.modules.facenet:FacenetEmbedderModule",
    "clip": "pixelbrain.modules.clip:ClipEmbedderModule",
    "clip_labels": "pixelbrain.modules.clip_labels:ClipLabelsModule",
    "exif": "pixelbrain.modules.exif:ExifModule",
    "quality": "pixelbrain.modules.quality:QualityModule",
}


def create_module(spec: str, **settings: Any) -> PipelineModule:
    """A module, configured and not loaded.

    Raises as `module_class` does, and `ConfigError` of a setting that the module has not, or that cannot work.
    """
    cls = module_class(spec)
    try:
        inspect.signature(cls).bind(**settings)
    except TypeError as error:
        raise ConfigError(f"module {spec}: {error}") from None
    return cls(**settings)


def module_class(spec: str) -> type[PipelineModule]:
    """The class of a module. Raises `ModuleError`.

    Args:
        spec: a key of `MODULES`, or `package.file:Class` of your own, looked for in the working folder too.
    """
    path, colon, class_name = MODULES.get(spec, spec).partition(":")
    if not colon or not path or not class_name:
        raise ModuleError(f"no module {spec!r}: name one of {', '.join(MODULES)}, or your own as package.file:Class")
    cls = getattr(_import(path), class_name, None)
    if cls is None:
        raise ModuleError(f"module {spec}: {path} has no {class_name}")
    if not (isinstance(cls, type) and issubclass(cls, PipelineModule)):
        raise ModuleError(f"module {spec}: {class_name} is not a subclass of PipelineModule")
    if inspect.isabstract(cls) or not hasattr(cls, "name"):
        others = sorted({*getattr(cls, "__abstractmethods__", ())} - {"fields"})
        lacking = ", ".join(f"{name}()" for name in others) or "its name or its fields()"
        raise ModuleError(f"module {spec}: {class_name} lacks {lacking}; see PipelineModule")
    return cls


def _import(path: str) -> Any:
    folder = os.getcwd()
    if folder not in sys.path:
        # an installed command, unlike python -m, does not have it; it stays, because the workers need it too
        sys.path.append(folder)
    try:
        return importlib.import_module(path)
    except Exception as error:  # a user's file may raise anything while it is imported
        absent = isinstance(error, ModuleNotFoundError) and path.split(".")[0] == (error.name or "").split(".")[0]
        hint = f"; looked in {folder} and on Python's path" if absent else ""
        raise ModuleError(f"cannot import {path}: {type(error).__name__}: {error}{hint}") from error

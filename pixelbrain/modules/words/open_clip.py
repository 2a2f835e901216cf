"""Import open_clip without timm, which most of its models do without: 7 s of a processor, for torch's compiler."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pixelbrain.images.torchvision import import_torchvision
from pixelbrain.modules.weights.find import find_package

_ONCE = threading.Lock()  # the threads of a worker come here at the same time
#: What `open_clip.timm_model` imports of `timm.layers`.
_LAYERS = ("RotAttentionPool2d", "AttentionPool2d", "Mlp", "to_2tuple")


def find_open_clip() -> Path:
    """Its folder; nothing is imported. Raises `MissingExtraError`."""
    return find_package("open_clip", "clip", "'pixelbrain[clip]'", called="open_clip_torch")


def import_open_clip() -> Any:
    """The package open_clip. A model that has a part of timm's, such as ConvNeXt, imports timm when it is made.

    Raises `MissingExtraError`.
    """
    find_open_clip()
    import_torchvision()
    with _ONCE, contextlib.nullcontext() if {"open_clip", "timm"} & sys.modules.keys() else _later():
        return importlib.import_module("open_clip")


@contextlib.contextmanager
def _later() -> Iterator[None]:
    """Inside it, timm is one that imports itself when it is called; others' imports of it find the real one."""
    package, layers = _Later("timm"), ModuleType("timm.layers")
    vars(layers).update({name: _call("timm.layers", name) for name in _LAYERS})
    sys.modules.update({"timm": package, "timm.layers": layers})
    try:
        yield
    finally:
        del sys.modules["timm"], sys.modules["timm.layers"]


class _Later(ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module("timm"), name)


def _call(module: str, name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: getattr(importlib.import_module(module), name)(*args, **kwargs)

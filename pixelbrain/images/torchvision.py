"""Import torchvision without torch's compiler: 1.4 s of a processor, and 7 s where Python keeps no compiled files."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

__all__ = ["import_torchvision"]

_COMPILER = "torch._dynamo"
_ONCE = threading.Lock()  # the threads of a worker come here at the same time


def import_torchvision() -> None:
    """Import torchvision, which the packages of models import, too: call it before them.

    `torchvision.ops.roi_align` wants one function of the compiler, which nothing here ever calls; it gets one that
    imports the compiler when it is called. Of another torchvision, which wants more, the import is as it always is.
    """
    with _ONCE:
        if "torchvision" in sys.modules or _COMPILER in sys.modules:
            return
        import torch  # noqa: F401  (first: not with a part of it missing)

        with contextlib.suppress(ImportError), _later():
            import torchvision
        import torchvision  # noqa: F401


@contextlib.contextmanager
def _later() -> Iterator[None]:
    """Inside it, the compiler has one function, which imports it."""

    def is_compile_supported(device_type: str) -> bool:
        from torch._dynamo.utils import is_compile_supported as theirs

        return theirs(device_type)

    names = (_COMPILER, f"{_COMPILER}.utils")
    package, utils = map(ModuleType, names)
    package.__path__ = []
    utils.is_compile_supported = is_compile_supported  # type: ignore[attr-defined]
    sys.modules.update(zip(names, (package, utils), strict=True))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]

"""Every error that Pixelbrain raises on purpose; its message is one line, with the way out.

PixelbrainError
├── ConfigError, EngineError, OverBudgetError, StoppedError, StopJob
├── SourceError: SourceGoneError
├── ImageError: ReadError, DecodeError, UnsupportedFormatError, ImageTooLargeError
├── ModuleError: WeightsError, MissingExtraError
├── LandingError: MixedModelsError, OutLockedError
├── PeopleError: ContradictionError
└── StoreError: StoreLockedError
"""

from __future__ import annotations


class PixelbrainError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(PixelbrainError):
    """A setting that cannot work, or two that contradict each other."""


class SourceError(PixelbrainError):
    """A source that cannot be listed: no such folder, no bucket, no permission."""


class SourceGoneError(SourceError):
    """There is nothing where a source should be: no folder, no bucket, no image."""


class ImageError(PixelbrainError):
    """About one image; it becomes its row's `error_type` and `error`, and the run goes on."""


class ReadError(ImageError):
    """An image's bytes could not be had."""


class DecodeError(ImageError):
    """An image's bytes are not an image, or only a part of one."""


class UnsupportedFormatError(ImageError):
    """An image is of a format whose package is not installed; the message has the pip line."""


class ImageTooLargeError(ImageError):
    """An image has more pixels than are safe to allocate."""


class ModuleError(PixelbrainError):
    """A module that cannot start, or that broke its contract."""


class WeightsError(ModuleError):
    """Weights that are not here, or are not what they should be."""


class MissingExtraError(ModuleError):
    """An optional package is not installed."""


class EngineError(PixelbrainError):
    """Ray could not start, or lacks what the plan reserves."""


class LandingError(PixelbrainError):
    """OUT cannot be read or written, or is not what it should be."""


class NewerFormatError(LandingError):
    """A later Pixelbrain wrote OUT, in a format that this one does not know."""


class MixedModelsError(LandingError):
    """Vectors of two models would meet in one index."""


class OutLockedError(LandingError):
    """Another run is at work on OUT; the message names it."""


class PeopleError(PixelbrainError):
    """A correction that cannot be: no such person, face or event, or none that is meant by a name."""


class ContradictionError(PeopleError):
    """A correction that says the opposite of an earlier one; both are named, and nothing was written."""


class StoreError(PixelbrainError):
    """MongoDB or ChromaDB cannot be reached, or refused."""


class StoreLockedError(StoreError):
    """Another process holds the embedded store."""


class OverBudgetError(PixelbrainError):
    """The next request does not fit into the budget; nothing was sent, and rows become `over_budget`."""


class StoppedError(PixelbrainError):
    """Ctrl-C: what was in flight has landed, and the message says how to go on."""


class StopJob(PixelbrainError):
    """No request of an asking job can succeed: no money on the account, a wrong key, no such model."""

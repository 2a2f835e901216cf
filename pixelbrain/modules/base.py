"""What a module is: a batch of images in, one struct column out.

A module has a cheap `__init__` (it is pickled and sent to the actors), loads its weights in `setup()` on the worker,
and knows neither Ray nor a database. To write one, name it, name its fields, and describe one image:

    class AverageColour(PipelineModule):
        name = "colour"

        def fields(self):
            return [pa.field("red", pa.float32()), pa.field("green", pa.float32()), pa.field("blue", pa.float32())]

        def process(self, image):
            red, green, blue = image.pixels.reshape(-1, 3).mean(axis=0)
            return {"red": red, "green": green, "blue": blue}

One that stands on what others found says so in `requires`, and is given their structs of the same image.
"""

from __future__ import annotations

import abc
import inspect
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.weights.find import ModelFile
from pixelbrain.shown import Shown

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a module needs of the actor that runs it. Raises `ConfigError` of a value that cannot work."""

    batch_size: int = 32  # images that go through `process_batch` together
    num_gpus: float | None = None  # if it runs on them: 0.5 shares a card; None: a card, or an equal part of one
    memory_bytes: int = 200 * 1024**2  # on a worker: its model, and what it makes of a batch
    input_bytes: int = 3 * 1024**2  # that `preprocess` returns for a photo, about: they wait in Ray's object store
    # no model, and no actors of its own: `process` runs in the threads that decode, without `setup`
    with_decoder: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "input_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it is 1 or more")


@dataclass(frozen=True)
class Known:
    """In place of an input: the struct itself, as a module made it of the same bytes before, or beside the decoder."""

    struct: dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """An input, and what others said of the same image, on whom its module stands."""

    given: Any
    structs: Mapping[str, dict[str, Any] | None]  # by the names in `requires`; None: nothing


class PipelineModule(Shown, abc.ABC):
    """One model or service; reads a batch and adds one struct column named after it."""

    #: The column's name: a Python identifier, none of `schema.RESERVED_NAMES`.
    name: ClassVar[str]

    #: How much of each photo the module wants to see; the decoder may skip the rest.
    decode_target: DecodeTarget = DecodeTarget()

    #: What it needs of an actor, such as `Resources(batch_size=8)`.
    resources: Resources = Resources()

    #: Whether its result depends on where a photo is, such as on its folder's name, and not on its bytes alone: then it
    #: looks again at a photo that was moved.
    by_name: ClassVar[bool] = False

    #: Whether a photo is read for this module alone; else it sees those that another one has not seen either.
    alone: bool = True
    #: What it stands on: modules, or fields that one of them gives, as facenet does `faces`. By these names `process`
    #: gets the struct of the same image, `process(image, faces=...)`, and `process_batch` a list of them.
    requires: ClassVar[Sequence[str]] = ()

    #: The files that `setup` loads.
    weights_files: Sequence[ModelFile] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = getattr(cls, "name", None)
        if name is None:
            return
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ModuleError(
                f"{cls.__qualname__}.name is {name!r}: a module's name is lower-case letters, digits and _, "
                "a letter first"
            )
        try:
            schema.check_name("module", name)
        except ConfigError as error:
            raise ModuleError(f"{cls.__qualname__}.name: {error}") from None
        _check_requires(cls)

    def shown(self) -> Mapping[str, Any]:
        weights = [str(file) for file in self.weights_files]
        return {"name": getattr(self, "name", None), **({"weights": weights} if weights else {})}

    @abc.abstractmethod
    def fields(self) -> list[pa.Field]:
        """The struct's own fields; `error_type` and `error` are added."""

    def settings(self) -> dict[str, Any]:
        """What decides the result, as JSON: rows of other settings are work to do again."""
        return {}

    @classmethod
    def arguments(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments behind what `settings` returned, as far as they are in it."""
        return {name: settings[name] for name in inspect.signature(cls).parameters if name in settings}

    def model_info(self) -> schema.ModelInfo | None:
        """Which model it is, where there is one; known without loading it, from the weights file."""
        return None

    def required_weights(self) -> list[str]:
        """Names of the files in `modules.weights.table.WEIGHTS` that `setup` loads."""
        return [name for file in self.weights_files for name in file.required()]

    def check_weights(self) -> None:
        """Raise `WeightsError` for files that `prepare` could not fetch, as far as that is known without a download."""
        for file in self.weights_files:
            file.check()

    def prepare(self) -> None:
        """Fetch what `setup` will load, once, on the machine that starts the run. Raises `WeightsError`."""
        for file in self.weights_files:
            file.path()

    def setup(self, device: str = "cpu") -> None:
        """Load the model, on the worker. `device` is "cpu" or "cuda"."""

    def preprocess(self, image: DecodedImage) -> Any:
        """What `process_batch` wants of one photo; small and picklable, and best of uint8.

        It runs in the decoding threads beside the model, or on another machine, where `setup` was not called.
        """
        return image

    def process(self, image: DecodedImage, *args: Any, **required: Any) -> dict[str, Any]:
        """The struct of one image. Raise any exception for an image that can't be done: it becomes the row's.

        Args:
            required: by the names in `requires`, the struct of each for the same image, as `to_pylist` has it.
        """
        raise NotImplementedError(f"{type(self).__qualname__} defines neither process nor process_batch")

    def process_batch(self, inputs: Sequence[Any], *args: Any, **required: Any) -> list[dict[str, Any]]:
        """The structs of what `preprocess` returned, in order. Override it where a batch is faster than one by one.

        Args:
            required: as `process` has them, a list each, in the same order.
        """
        return [
            self.process(image, **{name: structs[place] for name, structs in required.items()})
            for place, image in enumerate(inputs)
        ]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts as vectors that its images' are compared with, so that words find photos; `setup` need not come first.

        Returns:
            float32 (n, dim).

        Raises:
            ConfigError: a text that the model cannot read; or it reads none, as most do.
        """
        raise ConfigError(f"the module {self.name} compares photos with photos alone, not with words")

    def struct_type(self) -> pa.StructType:
        """The Arrow type of the module's column."""
        return schema.module_struct(self.fields())

    def try_preprocess(self, image: DecodedImage) -> Any:
        """`preprocess`, or the exception that it raised: `run_inputs` takes either; `with_decoder`, its struct."""
        try:
            return Known(self.process(image)) if self.resources.with_decoder else self.preprocess(image)
        except Exception as error:  # the row boundary, as in run_inputs
            logger.debug("%s failed on %s", self.name, image.image_id, exc_info=True)
            return error

    def run(self, images: Sequence[DecodedImage], **required: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The module's structs of `images`, in order; one that fails costs only its own row.

        Args:
            required: for each name in `requires`, what the `run` of that module returned of the same images.

        Returns:
            One dict an image: the module's fields, or `error_type` and `error`.

        Raises:
            ModuleError: what it stands on is not given, or not of as many images.
        """
        if {*required} != {*self.requires} or any(len(structs) != len(images) for structs in required.values()):
            wanted = "".join(f", {name}=..." for name in self.requires)
            raise ModuleError(f"module {self.name} is run as run(images{wanted}), with a struct an image each")
        inputs = [self.try_preprocess(image) for image in images]
        if required:
            rows = [{name: _plain(structs[i]) for name, structs in required.items()} for i in range(len(inputs))]
            inputs = [Beside(one, structs) for one, structs in zip(inputs, rows, strict=True)]
        return self.run_inputs(inputs)

    def run_inputs(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        """As `run`, from what `try_preprocess` returned, `Beside` what the module stands on, and what is `Known`."""
        ready = [self._ready_input(one) for one in inputs]
        fresh = iter(self._run_batch([one for one in ready if not isinstance(one, (Exception, Known))]))
        return [
            one.struct if isinstance(one, Known) else _failed(one) if isinstance(one, Exception) else next(fresh)
            for one in ready
        ]

    def _ready_input(self, one: Any) -> Any:
        """What can be run, or why it cannot: without what it stands on, a module is not asked."""
        if not isinstance(one, Beside) or isinstance(one.given, (Exception, Known)):
            return one.given if isinstance(one, Beside) else one
        for name in self.requires:
            struct = one.structs.get(name)
            if struct is None:
                return ModuleError(f"{name}, which {self.name} requires, is not known of this image: run it, too")
            if struct.get("error_type"):
                return ModuleError(f"{name}, which {self.name} requires, failed on this image: {struct.get('error')}")
        return one

    def _run_batch(self, inputs: list[Any]) -> list[dict[str, Any]]:
        if len(inputs) != 1 and type(self).process_batch is PipelineModule.process_batch:
            return [
                row for one in inputs for row in self._run_batch([one])
            ]  # none is processed again for another's sake
        if not inputs:
            return []
        try:
            given = [one.given if isinstance(one, Beside) else one for one in inputs]
            rows = self.process_batch(given, **{name: [one.structs[name] for one in inputs] for name in self.requires})
        except Exception as error:  # the row boundary: whatever a model or a user's module raises is this row's
            if len(inputs) > 1:
                return [row for one in inputs for row in self._run_batch([one])]
            logger.debug("%s failed", self.name, exc_info=True)
            return [_failed(error)]
        if len(rows) != len(inputs):
            raise ModuleError(f"module {self.name} returned {len(rows)} rows for {len(inputs)} images")
        return rows


def with_actors(needs: Mapping[str, Resources]) -> dict[str, Resources]:
    """Of modules by name, those that have actors: all but those `with_decoder`, or these where there are no others."""
    return {name: need for name, need in needs.items() if not need.with_decoder} or dict(needs)


def needs_of(modules: Iterable[PipelineModule]) -> dict[str, Resources]:
    """What each module needs, by its name."""
    return {module.name: module.resources for module in modules}


def _check_requires(cls: type[PipelineModule]) -> None:
    """Raise `ModuleError` for names that are none, and for methods that do not take what they name."""
    names = cls.requires
    if isinstance(names, str) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ModuleError(f"{cls.__qualname__}.requires is {names!r}: a list of names, such as ['faces']")
    if names and getattr(cls.resources, "with_decoder", False):
        raise ModuleError(
            f"{cls.__qualname__}.requires is {list(names)!r}: what runs with the decoder stands on nothing"
        )
    for method in ("process", "process_batch"):
        try:
            inspect.signature(getattr(cls, method)).bind(None, None, **dict.fromkeys(names))
        except TypeError:
            given = ", ".join(f"{name}=..." for name in names)
            raise ModuleError(
                f"{cls.__qualname__}.requires is {list(names)!r}, and {method} does not take it: it is called "
                f"with {given} behind its first argument"
            ) from None


def _plain(value: Any) -> Any:
    """As it is when it has landed: lists, and no arrays."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return value.tolist() if isinstance(value, np.ndarray) else [_plain(inner) for inner in value]
    return value


def _failed(error: Exception) -> dict[str, Any]:
    return {"error_type": type(error).__name__, "error": str(error) or repr(error)}

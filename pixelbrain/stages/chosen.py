"""Which images a user means by an expression: all that a store of OUT knows is looked at, if it has the name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pixelbrain import schema

if TYPE_CHECKING:
    from pixelbrain.asking.questions.question import Question
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.landing.where.language import Condition
    from pixelbrain.stages.stages import Stages


def read_where(stages: Stages, text: str | None) -> Condition | None:
    """The expression, checked; None for none. MongoDB is opened for names that did not land, if it is there.

    Raises:
        ConfigError: see `landing.where.names.read_where`.
    """
    if text is None:
        return None
    stages.landing.refresh()  # the pass before this one has landed more
    stages.landing.require()
    return _read(stages, text)


def check_filters(stages: Stages) -> None:
    """Whether each expression of a run has names that will be known when it is asked for, before hours of work.

    Raises:
        ConfigError: see `landing.where.names.read_where`.
    """
    modules, coming = stages.modules(), list[pa.Field]()
    for where in dict.fromkeys(stages.behind.get(module.name) for module in modules):
        if where is not None:
            _read(stages, where, coming)
        own = [module for module in modules if stages.behind.get(module.name) == where]
        coming += [pa.field(module.name, schema.as_landed(module.struct_type())) for module in own]
    for asking in stages.asking():
        if asking.where is not None:
            _read(stages, asking.where, coming)
        coming += [pa.field(question.field, _answered(question)) for question in asking.settings.questions]


def _answered(question: Question) -> pa.DataType:
    return pa.struct(
        {
            "answer": question.answer.arrow_type(),
            **dict.fromkeys(("status", "model", "error_type", "error"), pa.string()),
        }
    )


def _read(stages: Stages, text: str, coming: Sequence[pa.Field] = ()) -> Condition | None:
    from pixelbrain.landing.where import names
    from pixelbrain.stores.database import Database

    def stored(name: str) -> dict[str, Any]:
        with Database.open(stages.storage, mongo=stages.config.mongo, chroma=stages.config.chroma) as database:
            return database.get_field(name) if database.has_mongo else {}

    return names.read_where(stages.landing, text, stored if stages.landing.count_images() else lambda _name: {}, coming)


def chosen_loader(stages: Stages, loader: DataLoader) -> DataLoader:
    """The loader; where it asks this OUT which images are meant, with what only a store of it knows."""
    from pixelbrain.landing.where.loader import DataLoader as OutLoader

    if not isinstance(loader, OutLoader):
        return loader
    loader = loader.over(stages.landing)
    if not isinstance(loader.where, str) or loader.out != stages.storage.uri:
        return loader
    return loader.clone(where=read_where(stages, loader.where))


def choose(stages: Stages, text: str | None) -> pa.ChunkedArray | None:
    """The ids of the images for which an expression is true; None: all, where there is none. Raises as above."""
    from pixelbrain.landing.where.names import choose_images

    where = read_where(stages, text)
    return None if where is None else choose_images(stages.landing, where)["image_id"]

"""Which images a user means by an expression: all that a store of OUT knows is looked at, if it has the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

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
    from pixelbrain.landing.where import names
    from pixelbrain.stores.database import Database

    def stored(name: str) -> dict[str, Any]:
        with Database.open(stages.storage, mongo=stages.config.mongo, chroma=stages.config.chroma) as database:
            return database.get_field(name) if database.has_mongo else {}

    stages.landing.refresh()  # the pass before this one has landed more
    return names.read_where(stages.landing.require(), text, stored)


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

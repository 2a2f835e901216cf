"""What the stages are about: one OUT, its settings, which images are meant, and what looks at them and asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.record import write_stage
from pixelbrain.stages.configured import make_asking, make_modules
from pixelbrain.stages.display import Display, LogDisplay

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.engine.extract import FirstLook
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.landing.where.language import Condition
    from pixelbrain.modules.base import PipelineModule
    from pixelbrain.storage.base import Storage
    from pixelbrain.stores.database import Database


#: Settings that later stages can be told anew; of all others, run.json keeps what extract was told.
_LATER = ("mongo", "chroma", "s3_endpoint", "strategy", "min_label_score")
#: Settings of the modules that a config makes; modules that are given have their own.
_OF_MODULES = ("classifier", "classes", "top_k", "embedder", "turns", "clip_model", "labels", "label_template",
               "weights_dir", "offline")  # fmt: skip


class Context:
    """One OUT, and what a run over it is about.

    Args:
        config: `out` must be set; `source` for extract.
        display: where progress goes; the log by default.
        debug: show Ray's own log.
        loader, modules, asking, landing: which images, what looks at them, what asks about them, and what lands them,
            in place of what the config says of them.
        behind: by a module's name, the expression that is true for the images that it looks at; see `pipeline.Where`.
    """

    def __init__(
        self,
        config: RunConfig,
        display: Display | None = None,
        *,
        debug: bool = False,
        loader: DataLoader | None = None,
        modules: Sequence[PipelineModule] = (),
        behind: Mapping[str, str] = MappingProxyType({}),
        asking: Sequence[Gpt4VModule] = (),
        landing: Landing | None = None,
    ) -> None:
        if not config.out:
            raise ConfigError("no OUT: name the folder that results land in")
        self.config = config
        self.display = display or LogDisplay()
        self.debug = debug
        self.landing = landing or Landing(config.out, s3_endpoint=config.s3_endpoint)
        self.storage: Storage = self.landing.storage
        self.behind, self.given = behind, modules
        self._loader, self._asking, self._is_loader_ready = loader, asking, False
        self._looked: FirstLook | None = None
        self.checked: set[str] = set()  # what was seen to be there, see `preflight`

    def loader(self) -> DataLoader:
        """The images of SOURCE."""
        from pixelbrain.landing.where.loader import DataLoader

        config = self.config
        if self._loader is None:
            if not config.source:
                raise ConfigError("no SOURCE: name a folder, an image, a list file or s3://bucket/prefix")
            names = ("s3_endpoint", "limit", "max_megapixels", "hidden", "column", "where")
            self._loader = DataLoader(config.source, **{name: getattr(config, name) for name in names})
        if not self._is_loader_ready:
            self._loader, self._is_loader_ready = self._chosen(self._loader), True
        return self._loader

    def look_first(self) -> FirstLook:
        """The first images of SOURCE, listed once: `extract` takes them from here."""
        from pixelbrain.engine.extract import first_look

        if self._looked is None:
            gone, prune = self.config.prune_gone_source, self.config.prune
            self._looked = first_look(self.loader().settled(), self.landing, prune=prune, prune_gone_source=gone)
        return self._looked

    def take_looked(self) -> FirstLook | None:
        """The same, if they were looked at, once: it may be large, and is old next time."""
        looked, self._looked = self._looked, None
        return looked

    def modules(self) -> Sequence[PipelineModule]:
        """The modules that look at images, not yet set up, in the order in which they run.

        Raises:
            ConfigError: one requires what no other gives.
        """
        from pixelbrain.engine.extract import in_order

        return in_order(self.given or make_modules(self.config), self.landing)[0]

    def asking(self) -> Sequence[Gpt4VModule]:
        """The modules that ask. Raises `ConfigError` for what cannot be asked."""
        self._asking = self._asking or make_asking(self.config)
        return self._asking

    def ask_only(self, module: Gpt4VModule) -> None:
        """It is the one that asks."""
        self._asking = [module]

    # --- which images are meant ------------------------------------------------------------------------------------

    def read_where(self, text: str | None) -> Condition | None:
        """The expression, checked; None for none. MongoDB is opened for names that did not land, if it is there.

        Raises:
            ConfigError: see `landing.where.names.read_where`.
        """
        if text is None:
            return None
        self.landing.refresh()  # the pass before this one has landed more
        self.landing.require()
        return self.read_coming(text)

    def read_coming(self, text: str, coming: Sequence[pa.Field] = ()) -> Condition | None:
        """The same, before there is anything, perhaps, with columns that will have landed. Raises as above."""
        from pixelbrain.landing.where import names

        stored = self.stored_field if self.landing.count_images() else lambda _name: {}
        return names.read_where(self.landing, text, stored, coming)

    def stored_field(self, name: str) -> dict[str, Any]:
        """image_id -> value of a field that users stored in MongoDB; nothing where no MongoDB is there.

        Raises:
            StoreError: it is there, and cannot be asked.
        """
        from pixelbrain.stores.database import Database

        with Database.open(self.storage, mongo=self.config.mongo, chroma=self.config.chroma) as database:
            return database.get_field(name) if database.has_mongo else {}

    def choose(self, text: str | None) -> pa.ChunkedArray | None:
        """The ids of the images for which an expression is true; None: all, where there is none. Raises as above."""
        from pixelbrain.landing.where.names import choose_images

        where = self.read_where(text)
        return None if where is None else choose_images(self.landing, where)["image_id"]

    def _chosen(self, loader: DataLoader) -> DataLoader:
        """The loader; where it asks this OUT which images are meant, with what only a store of it knows."""
        from pixelbrain.landing.where.loader import DataLoader as OutLoader

        if not isinstance(loader, OutLoader):
            return loader
        loader = loader.over(self.landing)
        if not isinstance(loader.where, str) or loader.out != self.storage.uri:
            return loader
        return loader.clone(where=self.read_where(loader.where))

    # --- OUT -------------------------------------------------------------------------------------------------------

    def lock(self, stage: str) -> RunLock:
        """Nobody else works on OUT inside it; stages may nest."""
        return RunLock(self.storage, what=stage)

    def unopened(self) -> Database:
        """The two stores, of which none is opened or started."""
        from pixelbrain.stores.database import Database

        return Database(self.landing, mongo=self.config.mongo, chroma=self.config.chroma)

    def record(self, stage: str, figures: Mapping[str, Any]) -> None:
        """Enter in run.json what a stage did, and what was asked."""
        settings = self.config.as_dict()
        if self.given:
            settings |= dict.fromkeys(_OF_MODULES) | {"strategy": None}
        if stage == "ask":
            settings.pop("mongo")  # fields were read there, perhaps, and nothing was loaded into it
        if stage != "extract" or self.given:  # what was not said now stays as it was said before
            settings = {
                k: v for k, v in settings.items() if (v not in (None, "") if k in _LATER else stage == "extract")
            }
        rounded = {k: round(v, 2) if isinstance(v, float) and k.endswith("seconds") else v for k, v in figures.items()}
        write_stage(self.storage, stage, rounded, settings=settings)

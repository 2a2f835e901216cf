"""Pipeline: a loader and modules, composed; the Python face of extract and load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbrain.config import Placement
from pixelbrain.errors import ConfigError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.asking.online.report import AskReport
    from pixelbrain.engine.extract import ExtractReport
    from pixelbrain.stores.load import LoadReport

__all__ = ["Pipeline", "PipelineReport"]


@dataclass(frozen=True, kw_only=True)
class PipelineReport:
    """What `Pipeline.run` did."""

    out: Storage  # its `uri` is the folder's path, or s3://bucket/prefix
    extract: ExtractReport
    ask: list[AskReport]  # one a Gpt4VModule
    load: LoadReport


class Pipeline:
    """Images of a loader through modules, into OUT and the two stores.

        report = pb.Pipeline(pb.DataLoader("photos/"), [pb.ResnetClassifierModule()]).run("out/")

    Args:
        loader: which images.
        modules: what to find out about each; their names are the columns, so no two may share one. A `Gpt4VModule`
            among them asks afterwards, over what the others have landed.
        device: "cpu", "cuda", or "auto": GPUs if Ray reports any.
        placement: further wishes about actors and GPUs, with a device of its own.
    """

    def __init__(
        self,
        loader: DataLoader,
        modules: Sequence[PipelineModule | Gpt4VModule],
        *,
        device: str = "auto",
        placement: Placement | None = None,
    ) -> None:
        self.loader = loader
        self.modules = [module for module in modules if isinstance(module, PipelineModule)]
        self.asking = [module for module in modules if not isinstance(module, PipelineModule)]
        if not self.modules:
            raise ConfigError("a pipeline needs at least one module that looks at images itself")
        self.placement = placement or Placement(device=device)

    def extract(
        self,
        out: str | Path | Storage,
        *,
        retry_failed: bool = False,
        force: bool = False,
        prune: bool = False,
        progress: Callable[[int, int, int], None] | None = None,
        debug: bool = False,
    ) -> ExtractReport:
        """Run the modules and land a row an image; what has landed before is not done again.

        See `engine.extract.extract` for the arguments.

        Raises:
            SourceError, WeightsError, OutLockedError, EngineError: see there.
        """
        from pixelbrain.engine.extract import extract

        return extract(
            self.loader,
            self.modules,
            out,
            placement=self.placement,
            retry_failed=retry_failed,
            force=force,
            prune=prune,
            progress=progress,
            debug=debug,
        )

    def ask(
        self, out: str | Path | Storage, *, progress: Callable[[int, int, int], None] | None = None, debug: bool = False
    ) -> list[AskReport]:
        """Ask the questions of the `Gpt4VModule`s about what has landed; what was answered is not asked again.

        Raises:
            StopJob, EngineError: see `engine.ask.run.ask`.
        """
        from pixelbrain.asking.pending import read_where
        from pixelbrain.engine.ask.run import ask

        landing = Landing(out, s3_endpoint=self.loader.s3_endpoint).require()
        return [
            ask(
                landing,
                module.settings,
                module.price,
                module.limits,
                where=read_where(landing, module.where),
                progress=progress,
                debug=debug,
            )
            for module in self.asking
        ]

    def run(self, out: str | Path | Storage, *, mongo: str | None = None, chroma: str | None = None) -> PipelineReport:
        """Extract, ask, and load MongoDB and ChromaDB with what has landed.

        Args:
            out: the folder, or s3://bucket/prefix, that results land in.
            mongo: a MongoDB URI; embedded under OUT/db/mongo by default.
            chroma: a ChromaDB URL or folder; OUT/db/chroma by default.
        """
        from pixelbrain.stores.database import Database
        from pixelbrain.stores.load import load

        landing = Landing(out, s3_endpoint=self.loader.s3_endpoint)
        extracted = self.extract(landing.storage)
        asked = self.ask(landing.storage) if self.asking else []
        landing.refresh()
        with Database.open(landing.storage, mongo=mongo, chroma=chroma) as database:
            loaded = load(landing, database)
        return PipelineReport(out=landing.storage, extract=extracted, ask=asked, load=loaded)

"""Pipeline: a loader and modules, composed; the Python face of extract and load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbrain.errors import ConfigError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.parquet import Landing
from pixelbrain.modules.base import PipelineModule

if TYPE_CHECKING:
    from pixelbrain.engine.extract import ExtractReport
    from pixelbrain.stores.load import LoadReport

__all__ = ["Pipeline", "PipelineReport"]


@dataclass(frozen=True, kw_only=True)
class PipelineReport:
    """What `Pipeline.run` did."""

    out: Path
    extract: ExtractReport
    load: LoadReport


class Pipeline:
    """Images of a loader through modules, into OUT and the two stores.

        report = pb.Pipeline(pb.DataLoader("photos/"), [pb.ResnetClassifierModule()]).run("out/")

    Args:
        loader: which images.
        modules: what to find out about each; their names are the columns, so no two may share one.
        device: "cpu", "cuda", or "auto": GPUs if Ray reports any.
    """

    def __init__(self, loader: DataLoader, modules: Sequence[PipelineModule], *, device: str = "auto") -> None:
        if not modules:
            raise ConfigError("a pipeline without modules does nothing: give it at least one")
        self.loader = loader
        self.modules = list(modules)
        self.device = device

    def extract(
        self, out: str | Path, *, progress: Callable[[int, int, int], None] | None = None, debug: bool = False
    ) -> ExtractReport:
        """Run the modules and land a row an image; what has landed before is not done again.

        Raises:
            SourceError, WeightsError, EngineError: see `engine.extract.extract`.
        """
        from pixelbrain.engine.extract import extract

        return extract(self.loader, self.modules, out, device=self.device, progress=progress, debug=debug)

    def run(self, out: str | Path, *, mongo: str | None = None, chroma: str | None = None) -> PipelineReport:
        """Extract, and load MongoDB and ChromaDB with what has landed.

        Args:
            out: the folder that results land in.
            mongo: a MongoDB URI; embedded under OUT/db/mongo by default.
            chroma: a ChromaDB URL or folder; OUT/db/chroma by default.
        """
        from pixelbrain.stores.database import Database
        from pixelbrain.stores.load import load

        extracted = self.extract(out)
        with Database.open(out, mongo=mongo, chroma=chroma) as database:
            loaded = load(Landing(out), database)
        return PipelineReport(out=Path(out), extract=extracted, load=loaded)

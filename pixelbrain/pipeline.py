"""Pipeline: a loader and modules, composed; the Python face of the stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pixelbrain.config import Placement, RunConfig
from pixelbrain.errors import ConfigError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.where.language import Where, all_of
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.exif import ExifModule
from pixelbrain.shown import Shown
from pixelbrain.stages.display import choose_display
from pixelbrain.stages.stages import Stages
from pixelbrain.storage.base import Storage

if TYPE_CHECKING:
    from pixelbrain.asking.answer_records import AskReport
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.engine.extract import ExtractReport
    from pixelbrain.stages.forget import ForgetReport
    from pixelbrain.stores.load import LoadReport


#: How far a stage is: shown (True; None: on a terminal and in a notebook), said in the log alone (False), or told to a
#: function as (done, total, failed) images.
Progress: TypeAlias = bool | Callable[[int, int, int], None] | None


@dataclass(frozen=True, kw_only=True, repr=False)
class PipelineReport(Shown):
    """What `Pipeline.run` did."""

    out: Storage  # its `uri` is the folder's path, or s3://bucket/prefix
    extract: ExtractReport
    ask: list[AskReport]  # one a Gpt4VModule
    load: LoadReport


class Pipeline(Shown):
    """Images of a loader through modules, into OUT and the two stores.

        report = pb.Pipeline(pb.DataLoader("photos/"), [pb.ResnetClassifierModule()]).run("out/")

    Args:
        loader: which images.
        modules: what to find out about each; their names are the columns, so no two may share one. Those behind a
            `Where` look only at the images for which it is true, once those before it have landed; a second one adds to
            the first. A `Gpt4VModule` among them asks afterwards, over what the others have landed; without others,
            what cameras wrote lands before.
        device: "cpu", "cuda", or "auto": GPUs if Ray reports any.
        placement: further wishes about actors and GPUs, with a device of its own.
        executor: "ray", "local" (processes of this machine, which start sooner; no script needs a `__main__` guard for
            them), or "auto": local for little work, where no Ray runs.
    """

    def __init__(
        self,
        loader: DataLoader,
        modules: Sequence[PipelineModule | Gpt4VModule | Where],
        *,
        device: str = "auto",
        placement: Placement | None = None,
        executor: str = "auto",
    ) -> None:
        self.loader = loader
        self.modules: list[PipelineModule] = []
        self.asking: list[Gpt4VModule] = []
        #: By a module's name, the expression that is true for the images that it looks at.
        self.behind: dict[str, str] = {}
        where: str | None = None
        for module in modules:
            if isinstance(module, Where):
                where = all_of(where, module.text)
            elif isinstance(module, PipelineModule):
                self.modules.append(module)
                self.behind |= {module.name: where} if where is not None else {}
            else:
                self.asking.append(module.behind(where))
        if not self.modules and not self.asking:
            raise ConfigError("a pipeline needs at least one module")
        if not self.modules:  # to be asked about, an image has to have landed
            self.modules = [ExifModule()]
        self.placement = placement or Placement(device=device)
        if executor != "auto":  # what a placement says itself stays
            self.placement = dataclasses.replace(self.placement, executor=executor)

    def shown(self) -> Mapping[str, Any]:
        more = {"behind": self.behind} if self.behind else {}
        return {"loader": self.loader, "modules": [*self.modules, *self.asking], **more}

    def extract(
        self,
        out: str | Path | Storage,
        *,
        retry_failed: bool = False,
        force: bool = False,
        prune: bool = False,
        prune_gone_source: bool = False,
        thumbnails: bool = True,
        progress: Progress = None,
        debug: bool = False,
    ) -> ExtractReport:
        """Run the modules and land a row an image; what has landed before is not done again.

        See `engine.extract.extract` for the arguments, and `Progress` for how far it is.

        Raises:
            SourceError, WeightsError, OutLockedError, EngineError: see there.
        """
        options = {"retry_failed": retry_failed, "force": force, "prune": prune, "thumbnails": thumbnails}
        options["prune_gone_source"] = prune_gone_source
        stages = self._stages(out, progress, debug=debug, **options)
        return stages.extract(progress=_function(progress), may_stop=True)

    def ask(self, out: str | Path | Storage, *, progress: Progress = None, debug: bool = False) -> list[AskReport]:
        """Ask the questions of the `Gpt4VModule`s about what has landed; what was answered is not asked again.

        Raises:
            StopJob, EngineError: see `engine.ask.run.ask`.
        """
        stages = self._stages(out, progress, debug=debug)
        with stages.context.lock("ask"):
            return [stages.ask(module, progress=_function(progress)) for module in self.asking]

    def run(
        self,
        out: str | Path | Storage,
        *,
        mongo: str | None = None,
        chroma: str | None = None,
        progress: Progress = None,
        debug: bool = False,
    ) -> PipelineReport:
        """Extract, ask, and load MongoDB and ChromaDB with what has landed, as one run that nobody else disturbs.

        Args:
            out: the folder, or s3://bucket/prefix, that results land in.
            mongo: a MongoDB URI; embedded under OUT/db/mongo by default.
            chroma: a ChromaDB URL or folder; OUT/db/chroma by default.
            progress: how far each stage is, see `Progress`; a function hears of extract and ask.
            debug: show Ray's own log.

        Raises:
            StoppedError: Ctrl-C; what had landed until then stays, and nothing was asked or loaded.
            PixelbrainError: see `extract`, `ask`, and `stores.load.load`.
        """
        stages = self._stages(out, progress, debug=debug, mongo=mongo, chroma=chroma)
        return PipelineReport(out=stages.storage, **stages.run(then=(), progress=_function(progress)))

    def _stages(self, out: str | Path | Storage, progress: Progress, *, debug: bool = False, **settings: Any) -> Stages:
        landing = Landing(out, s3_endpoint=self.loader.s3_endpoint)
        config = RunConfig(
            out=landing.storage.uri,
            source=self.loader.source,
            s3_endpoint=self.loader.s3_endpoint,
            limit=self.loader.limit,
            max_megapixels=self.loader.max_megapixels,
            hidden=self.loader.hidden,
            column=self.loader.column,
            modules=tuple(module.name for module in self.modules),
            **dataclasses.asdict(self.placement),
            **settings,
        )
        display = choose_display(False if callable(progress) else progress)
        return Stages(
            config,
            display,
            debug=debug,
            loader=self.loader,
            modules=self.modules,
            behind=self.behind,
            asking=self.asking,
            landing=landing,
        )


def _function(progress: Progress) -> Callable[[int, int, int], None] | None:
    return progress if callable(progress) else None


TaggingPipeline = Pipeline  # the predecessor's name


def forget(
    out: str | Path | Storage,
    *,
    person: str | None = None,
    faces: Sequence[str] = (),
    photos: Sequence[str] = (),
    again: bool = False,
    dry_run: bool = False,
    mongo: str | None = None,
    chroma: str | None = None,
    s3_endpoint: str | None = None,
    progress: bool | None = None,
) -> ForgetReport:
    """Erase a person, faces or photos from OUT, its stores and its gallery, for good; nobody is asked.

    See `stages.forget.forget` for the arguments and errors, and docs/people.md for what is erased and what is not.
    """
    from pixelbrain.stages.forget import forget as forget_in

    stages = Stages.over(str(out), choose_display(progress), mongo=mongo, chroma=chroma, s3_endpoint=s3_endpoint)
    report = forget_in(stages, person=person, faces=faces, photos=photos, again=again, dry_run=dry_run)
    assert report is not None  # it is confirmed
    return report

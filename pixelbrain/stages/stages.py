"""The stages over one OUT: each takes the lock, shows how far it is, and enters in run.json what it did."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError, OutLockedError, StoppedError
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.record import read_record, write_stage
from pixelbrain.stages import wording
from pixelbrain.stages.asking import asked, to_ask
from pixelbrain.stages.chosen import choose, chosen_loader
from pixelbrain.stages.configured import fetch_missing, make_asking, make_modules, recorded_config
from pixelbrain.stages.display import Display, LogDisplay
from pixelbrain.stages.extracting import extract_passes, tell_passes
from pixelbrain.stages.preflight import LOOK, preflight

if TYPE_CHECKING:
    from pixelbrain.asking.answer_records import AskReport
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.engine.extract import ExtractReport, FirstLook
    from pixelbrain.identity.group import GroupReport
    from pixelbrain.identity.lookalikes.duplicates import DuplicatesReport
    from pixelbrain.identity.mapping.map import MapReport
    from pixelbrain.identity.people import IdentityReport
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.landing.compact import CompactReport
    from pixelbrain.modules.base import PipelineModule
    from pixelbrain.storage.base import Storage
    from pixelbrain.stores.database import Database
    from pixelbrain.stores.load import LoadReport
    from pixelbrain.stores.verify import VerifyReport


#: Settings that later stages can be told anew; of all others, run.json keeps what extract was told.
_LATER = ("mongo", "chroma", "s3_endpoint", "strategy", "min_label_score")
#: Settings of the modules that a config makes; modules that are given have their own.
_OF_MODULES = ("classifier", "classes", "top_k", "embedder", "turns", "clip_model", "labels", "label_template",
               "weights_dir", "offline")  # fmt: skip


class Stages:
    """The stages over one OUT.

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
        self._loader, self._modules, self._asking = loader, modules, asking
        self.behind, self._is_loader_ready = behind, False
        self._looked: FirstLook | None = None
        self._loaded = False  # whether what the load wrote last is in the stores that are open
        self.checked: set[str] = set()  # what was seen to be there, see `preflight`

    @classmethod
    def over(
        cls, out: str, display: Display | None = None, *, debug: bool = False, stores: bool = True, **given: Any
    ) -> Stages:
        """The stages over an OUT that is there already: its run.json says which stores and which S3 server it has.

        Args:
            stores: whether MongoDB is going to be asked; its password is in no file, so that its URI is given again.
            given: settings of `RunConfig`; None is not given.
        """
        return cls(recorded_config(out, given, stores=stores), display, debug=debug)

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
            self._loader, self._is_loader_ready = chosen_loader(self, self._loader), True
        return self._loader

    def look_first(self) -> FirstLook:
        """The first images of SOURCE, listed once: `extract` takes them from here."""
        from pixelbrain.engine.extract import first_look

        if self._looked is None:
            gone, prune = self.config.prune_gone_source, self.config.prune
            self._looked = first_look(self.loader().settled(), self.landing, prune=prune, prune_gone_source=gone)
        return self._looked

    def modules(self) -> Sequence[PipelineModule]:
        """The modules that look at images, not yet set up, in the order in which they run.

        Raises:
            ConfigError: one requires what no other gives.
        """
        from pixelbrain.engine.extract import in_order

        return in_order(self._modules or make_modules(self.config), self.landing)[0]

    def asking(self) -> Sequence[Gpt4VModule]:
        """The modules that ask. Raises `ConfigError` for what cannot be asked."""
        self._asking = self._asking or make_asking(self.config)
        return self._asking

    # --- stages --------------------------------------------------------------------------------------------------

    def run(
        self,
        then: Collection[str] = ("identify", "report"),
        *,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Extract, ask and load, as one run that nobody else disturbs, and `then` identify, group or report.

        Of extract and ask, `progress` hears how far they are, in place of the display.

        Returns:
            Each stage's report by its name; of ask a list. Without faces, nobody is identified.
        """
        asking = self.asking()
        self.check("extract", *(["ask", LOOK] if asking else []), "load", *then)
        with self.lock("run"):
            with contextlib.ExitStack() as stack:
                if asking:  # one Ray for two stages: its start takes longer than either on a few images
                    from pixelbrain.engine.cluster.session import ray_session

                    stack.enter_context(ray_session(debug=self.debug))
                reports: dict[str, Any] = {"extract": self.extract(progress=progress)}
                reports["ask"] = [self.ask(module, progress=progress) for module in asking]
            with self.database() as database:
                reports["load"] = self.load(database)
                if "identify" in then and "facenet" in self.landing.index.modules:
                    reports["identify"] = self.identify(database)
                if "group" in then:
                    reports["group"] = self.group(database)
            if "report" in then:
                reports["report"] = self.report()
        return reports

    def extract(
        self, *, progress: Callable[[int, int, int], None] | None = None, may_stop: bool = False
    ) -> ExtractReport:
        """Run the modules over SOURCE; see `engine.extract.extract`.

        Args:
            progress: hears how far it is, in place of the display.
            may_stop: the report says whether Ctrl-C stopped it, and no error does.

        Raises:
            StoppedError: Ctrl-C; what had landed until then is in run.json.
        """
        from pixelbrain.engine.extract import add_reports

        self.check("extract")
        config, modules = self.config, self.modules()
        looked, self._looked = self._looked, None  # it may be large, and is old next time
        with self.lock("extract"):  # before 100 MB are fetched for an OUT that is in use, or may not be written
            if not self._modules:  # those of a config; others know by themselves where theirs are
                fetch_missing(modules, config, self.display)
            reports = extract_passes(self, modules, self.behind, looked, progress)
            report = functools.reduce(add_reports, reports.values())
            self._publish()
            figures = dataclasses.asdict(report) | {"images_per_s": round(report.images_per_s, 2)}
            figures["seconds_by_activity"] = {k: round(v, 2) for k, v in report.seconds_by_activity.items()}
            self.record("extract", figures)
        tell_passes(self, reports)
        if report.stopped and not may_stop:
            raise StoppedError(
                f"Stopped. {report.done:,} images have landed in this run, and stay: the same command does the rest"
            )
        return report

    def ask(
        self, module: Gpt4VModule, *, limit: int | None = None, progress: Callable[[int, int, int], None] | None = None
    ) -> AskReport:
        """Ask the module's questions about what has landed; see `engine.ask.run.ask`."""
        from pixelbrain.engine.ask.run import ask

        self.check_asking("ask", module)
        given = to_ask(self, module)
        self.check(LOOK)
        with self.lock("ask"), self._published(), self.display.stage("ask") as tell:
            report = ask(**given, limit=limit, progress=progress or tell, waits=tell.waits, debug=self.debug)
            self.record("ask", {**asked(module), **report.as_dict()})
        wording.tell_asked(self.display, report, asked(module)["fields"])
        return report

    def load(self, database: Database, *, rebuild: bool = False) -> LoadReport:
        """Bring MongoDB and ChromaDB in step with Parquet; see `stores.load.load`."""
        from pixelbrain.stores.load import load

        self.check("load")
        with self.lock("load"), self._published(), self.display.stage("load") as tell:
            report = load(self.landing.require(), database, rebuild=rebuild, progress=tell)
            self.record("load", report.as_dict())
        self._loaded = True
        wording.tell_loaded(self.display, report, self.storage)
        return report

    def identify(self, database: Database, *, threshold: float | None = None, rebuild: bool = False) -> IdentityReport:
        """Cluster faces to people, new ones among those known; see `identity.people.PeopleIdentifierModule`.

        Where RAY_ADDRESS names a Ray, many faces are compared there.
        """
        from pixelbrain.engine.shards import in_threads, on_ray
        from pixelbrain.identity.people import PeopleIdentifierModule

        self.check("identify")
        module = PeopleIdentifierModule(self.config.strategy, threshold=threshold)
        with self.lock("identify"):
            report = None if rebuild else module.unchanged(database)
            if report is None:
                elsewhere = os.environ.get("RAY_ADDRESS")
                there = on_ray(debug=self.debug) if elsewhere else contextlib.nullcontext(in_threads)
                with self._in_step(database, "faces"), self.display.stage("identify", unit="faces"), there as over:
                    report = module.run(database, rebuild=rebuild, over=over)
                    self.record("identify", dataclasses.asdict(report))
        wording.tell_identified(self.display, report, self.config.strategy)
        return report

    def group(
        self, database: Database, *, threshold: float | None = None, by: str = "images", where: str | None = None
    ) -> GroupReport:
        """Group images that look alike; see `identity.group.group_images`."""
        from pixelbrain.identity.group import group_images

        self.check("group")
        images = choose(self, where)
        with self.lock("group"), self._published(), self._in_step(database, by), self.display.stage("group"):
            report = group_images(database, threshold=threshold, by=by, only=images)
            self.record("group", dataclasses.asdict(report))
        wording.tell_grouped(self.display, report)
        return report

    def duplicates(self, **given: Any) -> DuplicatesReport:
        """Find photos that are there more than once; see `identity.lookalikes.duplicates.find_duplicates`."""
        from pixelbrain.identity.lookalikes.duplicates import find_duplicates

        given = {name: value for name, value in given.items() if value is not None}
        return self._derive("duplicates", lambda _tell: find_duplicates(self.landing, **given), wording.tell_duplicates)

    def map(self, **given: Any) -> MapReport:
        """Lay out all photos or faces by their vectors; see `identity.mapping.map.make_map`."""
        from pixelbrain.identity.mapping.map import make_map

        return self._derive("map", lambda tell: make_map(self.landing, **{"progress": tell, **given}), wording.tell_map)

    def _derive(self, stage: str, derive: Callable[[Any], Any], say: Callable[[Display, Any], None]) -> Any:
        """What is made of landed rows alone, without a store."""
        self.check(stage)
        self.landing.require()
        with self.lock(stage), self._published(), self.display.stage(stage, unit="steps") as tell:
            report = derive(tell)
            self.record(stage, dataclasses.asdict(report))
        say(self.display, report)
        return report

    def report(self) -> Path:
        """Write the gallery; see `report.gallery.pages.build_gallery`. Returns its first page."""
        from pixelbrain.report.gallery.pages import build_gallery

        self.check("report")
        started, run = time.monotonic(), read_record(self.storage)
        with self.display.stage("report") as tell:
            page = build_gallery(
                self.landing.require(),
                s3_endpoint=self.config.s3_endpoint,
                max_megapixels=self.config.max_megapixels,
                min_label_score=self.config.min_label_score,
                run=run,
                progress=tell,
            )
        with contextlib.suppress(OutLockedError), self._published():  # beside a run, whose record it is then
            self.record("report", {"seconds": time.monotonic() - started})
        self.display.line(f"report    {page}")
        return page

    def verify(self, database: Database) -> VerifyReport:
        """Compare the stores with Parquet, value by value; see `stores.verify.verify`."""
        from pixelbrain.stores.verify import verify

        self.check("verify")
        with self.lock("verify"), self.display.stage("verify") as tell:
            report = verify(self.landing.require(), database, progress=tell)
        self._loaded = self._loaded and report.ok
        return report

    def compact(self) -> CompactReport:
        """Merge small files; see `landing.compact.compact`."""
        from pixelbrain.landing.compact import compact

        self.check("compact")
        with self.lock("compact"):
            with self.display.stage("compact") as tell:
                report = compact(self.landing, progress=tell)
            self._publish()
        return report

    def _publish(self) -> None:
        """Make the tables of OUT what other programs can read; see `landing.published.publish`."""
        from pixelbrain.landing.published import publish

        with self.display.stage("publish") as tell:
            publish(self.landing, progress=tell)

    @contextlib.contextmanager
    def _published(self) -> Iterator[None]:
        """With tables that others can read, also after a command that was killed; three listings."""
        self._publish()
        yield

    @contextlib.contextmanager
    def _in_step(self, database: Database, collection: str) -> Iterator[None]:
        """With a vector index that holds what landed: what people and groups are made of."""
        if (why := database.behind(collection)) is not None:
            self.display.line(f"load      first, {why}")
            self.load(database)
        yield

    # --- shared --------------------------------------------------------------------------------------------------

    def lock(self, stage: str) -> RunLock:
        """Nobody else works on OUT inside it; stages may nest."""
        return RunLock(self.storage, what=stage)

    def check(self, *stages: str) -> None:
        """Before any work of these stages: is all there that they need? Raises as `preflight` does."""
        preflight(self, stages)

    def check_asking(self, stage: str, module: Gpt4VModule) -> None:
        """The same, for what this module asks."""
        self._asking = [module]
        self.check(stage)

    def unopened(self) -> Database:
        """The two stores, of which none is opened or started."""
        from pixelbrain.stores.database import Database

        return Database(self.landing, mongo=self.config.mongo, chroma=self.config.chroma)

    @contextlib.contextmanager
    def database(self, *stages: str) -> Iterator[Database]:
        """The two stores, opened once for several stages, which alone write them meanwhile."""
        from pixelbrain.stores.in_step import is_untouched, note_untouched

        self.check("status", *stages)
        with self.unopened() as database:
            self._loaded = is_untouched(database)
            yield database
        if self._loaded:
            note_untouched(database)

    def record(self, stage: str, figures: Mapping[str, Any]) -> None:
        """Enter in run.json what a stage did, and what was asked."""
        settings = self.config.as_dict()
        if self._modules:
            settings |= dict.fromkeys(_OF_MODULES) | {"strategy": None}
        if stage == "ask":
            settings.pop("mongo")  # fields were read there, perhaps, and nothing was loaded into it
        if stage != "extract" or self._modules:  # what was not said now stays as it was said before
            settings = {
                k: v for k, v in settings.items() if (v not in (None, "") if k in _LATER else stage == "extract")
            }
        rounded = {k: round(v, 2) if isinstance(v, float) and k.endswith("seconds") else v for k, v in figures.items()}
        write_stage(self.storage, stage, rounded, settings=settings)

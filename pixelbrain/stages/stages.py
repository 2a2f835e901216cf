"""The stages over one OUT: each takes the lock, shows how far it is, and enters in run.json what it did."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.config import RunConfig
from pixelbrain.errors import OutLockedError, StoppedError
from pixelbrain.record import read_record
from pixelbrain.stages import wording
from pixelbrain.stages.configured import fetch_missing, recorded_config
from pixelbrain.stages.context import Context
from pixelbrain.stages.display import Display
from pixelbrain.stages.extracting import extract_passes, tell_passes
from pixelbrain.stages.preflight import LOOK, preflight

if TYPE_CHECKING:
    from pixelbrain.asking.answer_records import AskReport
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.engine.extract import ExtractReport
    from pixelbrain.identity.group import GroupReport
    from pixelbrain.identity.lookalikes.duplicates import DuplicatesReport
    from pixelbrain.identity.mapping.map import MapReport
    from pixelbrain.identity.people import IdentityReport
    from pixelbrain.landing.compact import CompactReport
    from pixelbrain.stores.database import Database
    from pixelbrain.stores.load import LoadReport
    from pixelbrain.stores.verify import VerifyReport


class Stages:
    """The stages over one OUT.

    Args:
        config, display, given: of `Context`.
    """

    def __init__(self, config: RunConfig, display: Display | None = None, **given: Any) -> None:
        self.context = Context(config, display, **given)
        self.config, self.display, self.debug = config, self.context.display, self.context.debug
        self.landing, self.storage = self.context.landing, self.context.storage
        self._loaded = False  # whether what the load wrote last is in the stores that are open

    @classmethod
    def over(
        cls, out: str, display: Display | None = None, *, stores: bool = True, debug: bool = False, **given: Any
    ) -> Stages:
        """The stages over an OUT that is there already: its run.json says which stores and which S3 server it has.

        Args:
            stores: whether MongoDB is going to be asked; its password is in no file, so that its URI is given again.
            given: settings of `RunConfig`; None is not given.
        """
        return cls(recorded_config(out, given, stores=stores), display, debug=debug)

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
        asking = self.context.asking()
        self.check("extract", *(["ask", LOOK] if asking else []), "load", *then)
        with self.context.lock("run"):
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
        config, modules = self.config, self.context.modules()
        looked = self.context.take_looked()
        with self.context.lock("extract"):  # before 100 MB are fetched for an OUT that is in use, or may not be written
            if not self.context.given:  # those of a config; others know by themselves where theirs are
                fetch_missing(modules, config, self.display)
            reports = extract_passes(self.context, modules, looked, progress)
            report = functools.reduce(add_reports, reports.values())
            self._publish()
            figures = dataclasses.asdict(report) | {"images_per_s": round(report.images_per_s, 2)}
            figures["seconds_by_activity"] = {k: round(v, 2) for k, v in report.seconds_by_activity.items()}
            self.context.record("extract", figures)
        tell_passes(self.context, reports)
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
        given = self.to_ask(module)
        self.check(LOOK)
        with self.context.lock("ask"), self._published(), self.display.stage("ask") as tell:
            report = ask(**given, limit=limit, progress=progress or tell, waits=tell.waits, debug=self.debug)
            self.context.record("ask", {**module.asked(), **report.as_dict()})
        wording.tell_asked(self.display, report, module.asked()["fields"])
        return report

    def load(self, database: Database, *, rebuild: bool = False) -> LoadReport:
        """Bring MongoDB and ChromaDB in step with Parquet; see `stores.load.load`."""
        from pixelbrain.stores.load import load

        self.check("load")
        with self.context.lock("load"), self._published(), self.display.stage("load") as tell:
            report = load(self.landing.require(), database, rebuild=rebuild, progress=tell)
            self.context.record("load", report.as_dict())
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
        with self.context.lock("identify"):
            report = None if rebuild else module.unchanged(database)
            if report is None:
                elsewhere = os.environ.get("RAY_ADDRESS")
                there = on_ray(debug=self.debug) if elsewhere else contextlib.nullcontext(in_threads)
                with self._in_step(database, "faces"), self.display.stage("identify", unit="faces"), there as over:
                    report = module.run(database, rebuild=rebuild, over=over)
                    self.context.record("identify", dataclasses.asdict(report))
        wording.tell_identified(self.display, report, self.config.strategy)
        return report

    def group(
        self, database: Database, *, threshold: float | None = None, by: str = "images", where: str | None = None
    ) -> GroupReport:
        """Group images that look alike; see `identity.group.group_images`."""
        from pixelbrain.identity.group import group_images

        self.check("group")
        images = self.context.choose(where)
        with self.context.lock("group"), self._published(), self._in_step(database, by), self.display.stage("group"):
            report = group_images(database, threshold=threshold, by=by, only=images)
            self.context.record("group", dataclasses.asdict(report))
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
        with self.context.lock(stage), self._published(), self.display.stage(stage, unit="steps") as tell:
            report = derive(tell)
            self.context.record(stage, dataclasses.asdict(report))
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
            self.context.record("report", {"seconds": time.monotonic() - started})
        self.display.line(f"report    {page}")
        return page

    def verify(self, database: Database) -> VerifyReport:
        """Compare the stores with Parquet, value by value; see `stores.verify.verify`."""
        from pixelbrain.stores.verify import verify

        self.check("verify")
        with self.context.lock("verify"), self.display.stage("verify") as tell:
            report = verify(self.landing.require(), database, progress=tell)
        self._loaded = self._loaded and report.ok
        return report

    def compact(self) -> CompactReport:
        """Merge small files; see `landing.compact.compact`."""
        from pixelbrain.landing.compact import compact

        self.check("compact")
        with self.context.lock("compact"):
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

    def check(self, *stages: str) -> None:
        """Before any work of these stages: is all there that they need? Raises as `preflight` does."""
        preflight(self.context, stages)

    def to_ask(self, module: Gpt4VModule) -> dict[str, Any]:
        """The arguments of `engine.ask.run.ask`, and of `asking.batch.run.ask_batch`."""
        return {
            "landing": self.landing,
            "settings": module.settings,
            "price": module.price,
            "limits": module.limits,
            "where": self.context.read_where(module.where),
        }

    def check_asking(self, stage: str, module: Gpt4VModule) -> None:
        """The same, for what this module asks."""
        self.context.ask_only(module)
        self.check(stage)

    @contextlib.contextmanager
    def database(self, *stages: str) -> Iterator[Database]:
        """The two stores, opened once for several stages, which alone write them meanwhile."""
        from pixelbrain.stores.in_step import is_untouched, note_untouched

        self.check("status", *stages)
        with self.context.unopened() as database:
            self._loaded = is_untouched(database)
            yield database
        if self._loaded:
            note_untouched(database)

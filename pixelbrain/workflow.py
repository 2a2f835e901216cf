"""The stages, one after another, as the CLI and the jobs run them: each with a display and an entry in run.json."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbrain.config import GPT4V, RunConfig
from pixelbrain.display import Display
from pixelbrain.errors import ConfigError, StoppedError
from pixelbrain.landing.landing import Landing
from pixelbrain.locks.run import RunLock
from pixelbrain.record import read_record, write_stage

if TYPE_CHECKING:
    from pixelbrain.asking.batch.report import BatchReport
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.asking.online.report import AskReport
    from pixelbrain.images.loader import DataLoader
    from pixelbrain.landing.compact import CompactReport
    from pixelbrain.modules.base import PipelineModule
    from pixelbrain.stores.database import Database
    from pixelbrain.stores.verify import VerifyReport

__all__ = ["Workflow"]

_REFUSED_SHOWN = 5  # rows that a store would not have, on the screen; run.json has all


class Workflow:
    """The stages over one OUT.

    Args:
        config: `out` must be set; `source` for extract.
        display: where progress goes.
        debug: show Ray's own log.
    """

    def __init__(self, config: RunConfig, display: Display | None = None, *, debug: bool = False) -> None:
        if not config.out:
            raise ConfigError("no OUT: name the folder that results land in")
        self.config = config
        self.display = display or Display(quiet=True)
        self.debug = debug
        self.landing = Landing(config.out, s3_endpoint=config.s3_endpoint)
        self.storage = self.landing.storage
        self._nodes = 0  # of the cluster; 0: not counted yet

    @classmethod
    def over(
        cls, out: str, display: Display | None = None, *, debug: bool = False, stores: bool = True, **given: Any
    ) -> Workflow:
        """The stages over an OUT that is there already: its run.json says which stores and which S3 server it has.

        Args:
            stores: whether MongoDB is going to be asked; its password is in no file, so that its URI is given again.
            given: settings of `RunConfig`; None is not given.
        """
        landing = Landing(out, s3_endpoint=given.get("s3_endpoint")).require()
        recorded = read_record(landing.storage).get("settings", {})
        chosen = {k: recorded.get(k) for k in ("chroma", "s3_endpoint", "strategy") if recorded.get(k)}
        if stores and recorded.get("mongo") and not given.get("mongo"):
            raise ConfigError(
                f"{landing.storage} was loaded into {recorded['mongo']}: give --mongo again, password and all, or set "
                "PIXELBRAIN_MONGO"
            )
        if stores and "***" in (recorded.get("chroma") or "") and not given.get("chroma"):
            raise ConfigError(
                f"{landing.storage} was loaded into {recorded['chroma']}: give --chroma again, secret and all, or set "
                "PIXELBRAIN_CHROMA"
            )
        config = RunConfig(out=out, **{**chosen, **{k: v for k, v in given.items() if v is not None}})
        return cls(config, display, debug=debug)

    # --- stages --------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Extract, ask if gpt4v is among the modules, load, identify, report. Each stage's report by its name."""
        asking = self.asking_module()  # first: a question that cannot be asked is known before an hour's work
        self._require_servers()
        with self.lock("run"):
            with self._one_ray() if asking is not None else contextlib.nullcontext():
                reports: dict[str, Any] = {"extract": self.extract()}
                if asking is not None:
                    reports["ask"] = self.ask(asking)
            with self.database() as database:
                reports["load"] = self.load(database)
                if "facenet" in self.landing.index.modules:
                    reports["identify"] = self.identify(database)
            reports["report"] = self.report()
        return reports

    def loader(self) -> DataLoader:
        """The images of SOURCE."""
        from pixelbrain.images.loader import DataLoader

        config = self.config
        if not config.source:
            raise ConfigError("no SOURCE: name a folder, an image, a list file or s3://bucket/prefix")
        return DataLoader(config.source, s3_endpoint=config.s3_endpoint, limit=config.limit)

    def modules(self) -> list[PipelineModule]:
        """The configured modules, not yet set up."""
        from pixelbrain.modules.registry import create_module

        settings = self.config.module_settings()
        return [create_module(name, **settings.get(name, {})) for name in self.config.modules if name != GPT4V]

    def asking_module(self) -> Gpt4VModule | None:
        """What the config's gpt4v asks, if it does. Raises `ConfigError` for what cannot be asked."""
        if self.config.gpt4v is None:
            return None
        from pixelbrain.asking.module import Gpt4VModule

        try:
            return Gpt4VModule(**{"s3_endpoint": self.config.s3_endpoint, **self.config.gpt4v})
        except TypeError as error:
            raise ConfigError(f"gpt4v: {error}") from None

    def extract(self) -> Any:
        """Run the modules over SOURCE; see `engine.extract.extract`."""
        from pixelbrain.pipeline import Pipeline

        config = self.config
        pipeline = Pipeline(self.loader(), self.modules(), placement=config.placement())
        with self.lock("extract"):  # before 100 MB are fetched for an OUT that is in use, or may not be written
            self._fetch_weights(pipeline.modules)
            with self.display.stage("extract") as progress:
                report = pipeline.extract(
                    self.storage,
                    retry_failed=config.retry_failed,
                    force=config.force,
                    prune=config.prune,
                    progress=progress,
                    debug=self.debug,
                )
        self.landing.refresh()
        self._record(
            "extract",
            {
                "listed": report.listed,
                "done": report.done,
                "failed": report.failed,
                "failures": dict(report.failures),
                "gone": report.gone,
                "stopped": report.stopped,
                "seconds": round(report.seconds, 2),
                "images_per_s": round(report.images_per_s, 2),
                "seconds_by_activity": {k: round(v, 2) for k, v in report.seconds_by_activity.items()},
                "plan": dataclasses.asdict(report.plan) if report.plan else None,
            },
        )
        known = report.listed - report.done
        before = f", {known:,} were there already" if known > 0 and not report.stopped else ""
        failed = f", {report.failed:,} failed" if report.failed else ""
        rate = f", {report.images_per_s:,.1f} images/s" if report.done else ""
        self.display.line(f"extract   {report.done:,} images{failed}{before}{rate}, {report.seconds:,.0f} s")
        if report.gone:
            fate = "and were removed" if config.prune else "and stay; --prune removes them"
            self.display.warn(f"          {report.gone:,} images are gone from {config.source}, {fate}")
        if report.stopped:
            raise StoppedError(
                f"Stopped. {report.done:,} images have landed in this run, and stay: the same command does the rest"
            )
        return report

    def ask(self, module: Gpt4VModule, *, limit: int | None = None) -> AskReport:
        """Ask the module's questions about what has landed; see `engine.ask.run.ask`."""
        from pixelbrain.engine.ask.run import ask

        given = self._asking(module)
        with self.lock("ask"), self.display.stage("ask") as progress:
            report = ask(**given, limit=limit, progress=progress, debug=self.debug)
        fields = ", ".join(question.field for question in module.settings.questions)
        self._record("ask", {"fields": fields, "model": module.settings.model, **report.as_dict()})
        self._tell_asked(report, fields)
        return report

    def ask_batch(self, module: Gpt4VModule, *, wait: bool = True, limit: int | None = None) -> BatchReport:
        """The same through the Batch API; see `asking.batch.run.ask_batch`."""
        from pixelbrain.asking.batch.run import ask_batch

        started = time.monotonic()
        given = self._asking(module)
        with self.lock("ask --batch"), self.display.stage("ask", unit="requests") as progress:
            report = ask_batch(**given, limit=limit, wait=wait, progress=progress)
        fields = ", ".join(question.field for question in module.settings.questions)
        figures = {"answers": dict(report.answers), "cost_usd": str(report.cost_usd), "running": report.running}
        seconds = round(time.monotonic() - started, 2)
        self._record("ask", {"fields": fields, "model": module.settings.model, **figures, "seconds": seconds})
        statuses = ", ".join(f"{count:,} {status}" for status, count in report.answers.items()) or "no answer yet"
        self.display.line(f"ask       {fields}: {statuses}; ${report.cost_usd:,.4f}, {report.submitted:,} batches sent")
        if report.running or report.more:
            self.display.line(
                f"          {report.running:,} batches on their way (at most ${report.reserved_usd:,.2f}): the same "
                f"command collects them, here or on any machine that has {self.storage.uri}"
            )
        return report

    def cancel_batches(self, base_url: str | None = None) -> str:
        """Cancel the batches that are on their way; a line that says what became of them."""
        from pixelbrain.asking.batch.cancel import cancel

        report = cancel(self.landing.require(), base_url=base_url)
        kept = sum(report.answers.values())
        pending = f", {report.pending:,} still stopping: run it again" if report.pending else ""
        return f"{report.cancelled:,} batches cancelled, {report.ended:,} had ended{pending}; {kept:,} answers kept"

    def dry_run(self, module: Gpt4VModule, *, limit: int | None = None) -> list[str]:
        """What asking would take, as lines of text; nobody is asked, and no image is read."""
        from pixelbrain.asking.dry_run import describe, dry_run
        from pixelbrain.asking.pending import pending_images, read_where

        where = read_where(self.landing.require(), module.where)
        rows = (
            (row["image_id"], row["width"], row["height"])
            for table in pending_images(self.landing, module.settings, where)
            for row in table.to_pylist()
        )
        found = dry_run(
            itertools.islice(rows, limit), module.settings, module.price, rpm=module.limits.rpm, tpm=module.limits.tpm
        )
        return describe(found)

    def _asking(self, module: Gpt4VModule) -> dict[str, Any]:
        """What the two ways to ask need."""
        from pixelbrain.asking.pending import read_where

        return {
            "landing": self.landing,
            "settings": module.settings,
            "price": module.price,
            "limits": module.limits,
            "where": read_where(self.landing.require(), module.where),
        }

    def _tell_asked(self, report: AskReport, fields: str) -> None:
        statuses = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items()) or "nothing to ask"
        remembered = f", {report.remembered:,} remembered" if report.remembered else ""
        self.display.line(
            f"ask       {fields}: {statuses}{remembered}; ${report.cost_usd:,.4f}, "
            f"{report.input_tokens + report.output_tokens:,} tokens, {report.seconds:,.0f} s"
        )
        if report.overrun:
            self.display.warn(f"          {report.overrun}")
        for kind, count in report.failures.most_common(_REFUSED_SHOWN):
            self.display.warn(f"          {count:,} x {kind}")

    def load(self, database: Database, *, rebuild: bool = False) -> Any:
        """Bring MongoDB and ChromaDB in step with Parquet; see `stores.load.load`."""
        from pixelbrain.stores.load import load

        started = time.monotonic()
        with self.lock("load"), self.display.stage("load") as progress:
            report = load(self.landing.require(), database, rebuild=rebuild, progress=progress)
        figures = report.as_dict() | {"seconds": round(time.monotonic() - started, 2)}
        self._record("load", figures)
        self.display.line(
            f"load      {report.images:,} images into MongoDB, {report.image_vectors:,} image and "
            f"{report.face_vectors:,} face vectors into ChromaDB, {figures['seconds']:,.0f} s"
        )
        for rebuilt in report.rebuilt:
            self.display.warn(f"          {rebuilt}")
        for refused, why in report.errors[:_REFUSED_SHOWN]:
            self.display.warn(f"          refused: {refused}: {why}")
        if len(report.errors) > _REFUSED_SHOWN:
            more = len(report.errors) - _REFUSED_SHOWN
            self.display.warn(f"          and {more:,} more, all in {self.storage}/run.json")
        return report

    def identify(self, database: Database, *, threshold: float | None = None) -> Any:
        """Cluster faces to people; see `identity.people.PeopleIdentifierModule`."""
        from pixelbrain.identity.people import PeopleIdentifierModule

        started = time.monotonic()
        with self.lock("identify"), self.display.stage("identify", unit="faces"):
            report = PeopleIdentifierModule(self.config.strategy, threshold=threshold).run(database)
        figures = report.as_dict() | {"seconds": round(time.monotonic() - started, 2)}
        self._record("identify", figures)
        self.display.line(
            f"identify  {report.people:,} people in {report.assigned:,} of {report.faces:,} faces, "
            f"{figures['seconds']:,.0f} s"
        )
        return report

    def group(self, database: Database, *, threshold: float | None = None) -> Any:
        """Group images that look alike; see `identity.group.group_images`."""
        from pixelbrain.identity.group import group_images

        started = time.monotonic()
        with self.lock("group"), self.display.stage("group"):
            report = group_images(database, threshold=threshold)
        figures = report.as_dict() | {"seconds": round(time.monotonic() - started, 2)}
        self._record("group", figures)
        self.display.line(
            f"group     {report.groups:,} groups in {report.grouped:,} of {report.images:,} images, "
            f"{figures['seconds']:,.0f} s"
        )
        return report

    def report(self) -> Path:
        """Write the gallery; see `report.gallery.pages.build_gallery`. Returns its first page."""
        from pixelbrain.report.gallery.pages import build_gallery

        started = time.monotonic()
        with self.display.stage("report") as progress:
            page = build_gallery(
                self.landing.require(),
                s3_endpoint=self.config.s3_endpoint,
                run=read_record(self.storage),
                progress=progress,
            )
        self._record("report", {"seconds": round(time.monotonic() - started, 2)})
        self.display.line(f"report    {page}")
        return page

    def verify(self, database: Database) -> VerifyReport:
        """Compare the stores with Parquet, value by value; see `stores.verify.verify`."""
        from pixelbrain.stores.verify import verify

        with self.lock("verify"), self.display.stage("verify") as progress:
            return verify(self.landing.require(), database, progress=progress)

    def compact(self) -> CompactReport:
        """Merge small files; see `landing.compact.compact`."""
        from pixelbrain.landing.compact import compact

        with self.lock("compact"), self.display.stage("compact") as progress:
            return compact(self.landing, progress=progress)

    def _fetch_weights(self, modules: list[PipelineModule]) -> None:
        """Download what is missing before Ray starts, with a progress bar a file."""
        from pixelbrain.modules.weights.find import fetch_weights, find_weights

        for name in dict.fromkeys(name for module in modules for name in module.required_weights()):
            if find_weights(name, self.config.weights_dir) is None:
                with self.display.stage(name, unit="bytes") as tell:
                    fetch_weights(
                        name,
                        self.config.weights_dir,
                        offline=self.config.offline,
                        progress=lambda done, total, tell=tell: tell(done, total or 0),
                    )

    # --- shared --------------------------------------------------------------------------------------------------

    def lock(self, stage: str) -> RunLock:
        """Nobody else works on OUT inside it; stages may nest."""
        return RunLock(self.storage, what=stage)

    @contextlib.contextmanager
    def _one_ray(self) -> Iterator[None]:
        """One Ray for two stages: its start takes longer than either on a few images."""
        from pixelbrain.engine.cluster.session import ray_session

        with ray_session(debug=self.debug):
            yield

    def _require_servers(self) -> None:
        """Raises `StoreError` where the stores would be folders, and nodes of a cluster would come and go over them."""
        from pixelbrain.engine.plan.nodes import count_nodes
        from pixelbrain.stores.address import require_servers

        if not self._nodes:
            self._nodes = count_nodes()
        require_servers(self._nodes, mongo=self.config.mongo, chroma=self.config.chroma)

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The two stores, opened once for several stages."""
        from pixelbrain.stores.database import Database

        self._require_servers()
        with Database.open(self.storage, mongo=self.config.mongo, chroma=self.config.chroma) as database:
            yield database

    def _record(self, stage: str, figures: dict[str, Any]) -> None:
        asked = self.config.as_dict()
        if stage != "extract":  # what a later stage was not told is what extract was
            asked = {k: v for k, v in asked.items() if v and k in ("mongo", "chroma", "s3_endpoint", "strategy")}
        write_stage(self.storage, stage, figures, settings=asked)

"""Asking about what has landed through the Batch API, and a look at the price."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from pixelbrain.stages.preflight import LOOK
from pixelbrain.stages.wording import tell_batches

if TYPE_CHECKING:
    from pixelbrain.asking.batch.rounds import BatchReport
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.landing.landing import Landing
    from pixelbrain.stages.stages import Stages


def ask_batch(stages: Stages, module: Gpt4VModule, *, wait: bool = True, limit: int | None = None) -> BatchReport:
    """As `Stages.ask`, through the Batch API; see `asking.batch.run.ask_batch`."""
    from pixelbrain.asking.batch.run import ask_batch

    started = time.monotonic()
    module.settings.server.require_batches()
    stages.check_asking("ask --batch", module)
    given = stages.to_ask(module)
    stages.check(LOOK)
    with stages.context.lock("ask --batch"), stages.display.stage("ask", unit="requests") as tell:
        report = ask_batch(**given, limit=limit, wait=wait, progress=tell)
        figures = {"answers": dict(report.answers), "cost_usd": str(report.cost_usd), "running": report.running}
        stages.context.record("ask", {**module.asked(), **figures, "seconds": time.monotonic() - started})
    tell_batches(stages.display, report, module.asked()["fields"], stages.storage)
    return report


def cancel_batches(landing: Landing, **server: Any) -> str:
    """Cancel the batches that are on their way at a `Server`; a line that says what became of them."""
    from pixelbrain.asking.batch import cancel
    from pixelbrain.asking.batch.run import open_memory
    from pixelbrain.asking.look import look_at
    from pixelbrain.asking.request.client import make_sync_client
    from pixelbrain.asking.request.server import Server

    found = Server(**server)
    look_at(found, model=None)
    landing = landing.require()
    client = make_sync_client(server=found)
    report = cancel.cancel_batches(landing.storage, client, lambda: open_memory(landing, None))
    kept = sum(report.answers.values())
    pending = f", {report.pending:,} still stopping: run it again" if report.pending else ""
    return f"{report.cancelled:,} batches cancelled, {report.ended:,} had ended{pending}; {kept:,} answers kept"


def dry_run(stages: Stages, module: Gpt4VModule, *, limit: int | None = None) -> list[str]:
    """What asking would take, as lines of text; nobody is asked, and no image is read."""
    from pixelbrain.asking.dry_run import describe, dry_run
    from pixelbrain.asking.pending import pending_images

    where = stages.context.read_where(module.where)
    rows = (
        (row["image_id"], row["width"], row["height"])
        for table in pending_images(stages.landing, module.settings, where)
        for row in table.to_pylist()
    )
    rates = {"rpm": module.limits.rpm, "tpm": module.limits.tpm}
    return describe(dry_run(itertools.islice(rows, limit), module.settings, module.price, **rates))

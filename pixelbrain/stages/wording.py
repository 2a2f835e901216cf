"""What people are told of a stage that is done: a line of what it did, and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixelbrain.sources.passed_over import describe_passed_over
from pixelbrain.stages.display import Display

if TYPE_CHECKING:
    from pixelbrain.asking.answer_records import AskReport
    from pixelbrain.asking.batch.rounds import BatchReport
    from pixelbrain.asking.reasons import Reasons
    from pixelbrain.config import Strategy
    from pixelbrain.engine.extract import ExtractReport
    from pixelbrain.identity.group import GroupReport
    from pixelbrain.identity.lookalikes.duplicates import DuplicatesReport
    from pixelbrain.identity.mapping.map import MapReport
    from pixelbrain.identity.people import IdentityReport
    from pixelbrain.storage.base import Storage
    from pixelbrain.stores.load import LoadReport


_SHOWN = 5  # rows that a store would not have, kinds of failures; run.json has all


def tell_extracted(
    display: Display, report: ExtractReport, source: str, *, pruned: bool, where: str | None = None
) -> None:
    """Images, failures, and what is gone from the source."""
    landed = report.listed - report.done
    before = f", {landed:,} were there already" if landed > 0 and not report.stopped else ""
    failed = f", {report.failed:,} failed" if report.failed else ""
    known_as = ((report.moved, "moved"), (report.copies, "copies of others"), (report.turned, "turned for their faces"))
    known = "".join(f", {count:,} {what}" for count, what in known_as if count)
    rate = f", {report.images_per_s:,.1f} images/s" if report.done else ""
    behind = f" where {where}" if where else ""
    display.line(f"extract   {report.done:,} images{behind}{failed}{known}{before}{rate}, {report.seconds:,.0f} s")
    if report.passed_over:
        display.line(f"          passed over: {describe_passed_over(report.passed_over)}")
    if report.gone:
        fate = "and were removed" if pruned else "and stay; --prune removes them"
        display.warn(f"          {report.gone:,} images are gone from {source}, {fate}")


def tell_asked(display: Display, report: AskReport, fields: str) -> None:
    """Answers by status, what they cost, and why some failed."""
    statuses = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items()) or "nothing to ask"
    remembered = f", {report.remembered:,} remembered" if report.remembered else ""
    display.line(
        f"ask       {fields}: {statuses}{remembered}; ${report.cost_usd:,.4f}, "
        f"{report.input_tokens + report.output_tokens:,} tokens, {report.seconds:,.0f} s"
    )
    for note in (*report.notes, *filter(None, [report.overrun])):
        display.warn(f"          {note}")
    tell_reasons(display, report.reasons)


def tell_reasons(display: Display, reasons: Reasons) -> None:
    """Why answers failed, in the server's words; the commonest reasons."""
    for reason, count in reasons.most_common(_SHOWN):
        display.warn(f"          {count:,} x {reason}")
    if (more := len(reasons.counts) - _SHOWN) > 0:
        display.warn(f"          and {more:,} more reasons, in run.json and with the answers: export --table answers")


def tell_batches(display: Display, report: BatchReport, fields: str, storage: Storage) -> None:
    """Answers by status, what they cost, and what is still on its way."""
    statuses = ", ".join(f"{count:,} {status}" for status, count in report.answers.items()) or "no answer yet"
    display.line(f"ask       {fields}: {statuses}; ${report.cost_usd:,.4f}, {report.submitted:,} batches sent")
    if report.running or report.more:
        display.line(
            f"          {report.running:,} batches on their way (at most ${report.reserved_usd:,.2f}): the same "
            f"command collects them, here or on any machine that has {storage.uri}"
        )
    tell_reasons(display, report.reasons)


def tell_loaded(display: Display, report: LoadReport, storage: Storage) -> None:
    """Documents and vectors, what was damaged, and what was refused."""
    further = "".join(f", {count:,} of {name}" for name, count in report.module_vectors.items())
    display.line(
        f"load      {report.images:,} images into MongoDB, {report.image_vectors:,} image and "
        f"{report.face_vectors:,} face vectors{further} into ChromaDB, {report.seconds:,.0f} s"
    )
    for rebuilt in report.rebuilt:
        display.warn(f"          {rebuilt}")
    for refused, why in report.errors[:_SHOWN]:
        display.warn(f"          refused: {refused}: {why}")
    if (more := len(report.errors) - _SHOWN) > 0:
        display.warn(f"          and {more:,} more, all in {storage}/run.json")


def tell_identified(display: Display, report: IdentityReport, strategy: Strategy) -> None:
    """People and faces; and what the strategies are that mix people up."""
    display.line(f"identify  {report}")
    if strategy != "average":
        display.warn(
            f"          {strategy} follows chains of faces, which join strangers where there are many people: "
            "`--strategy average` mixes fewer, and `pixelbrain evaluate` says how many"
        )


def tell_grouped(display: Display, report: GroupReport) -> None:
    """Groups, and the images in them."""
    display.line(
        f"group     {report.groups:,} groups in {report.grouped:,} of {report.images:,} images, {report.seconds:,.0f} s"
    )


def tell_duplicates(display: Display, report: DuplicatesReport) -> None:
    """What was found, and what was not looked at."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.kinds.items()))
    display.line(
        f"duplicates {report.drop:,} of {report.images:,} images have a better one ({report.groups:,} groups"
        f"{', ' + kinds if kinds else ''}), {report.drop_bytes / 1e6:,.1f} MB, {report.seconds:,.1f} s"
    )
    if report.chosen:
        display.line(f"           {report.chosen:,} of these photos were kept or dropped by choice, which holds")
    if report.hashed < report.images:
        display.line(
            f"           {report.images - report.hashed:,} have no perceptual hash: pictures of one colour, and photos "
            "that landed without, which get one by `pixelbrain extract SOURCE --out OUT --module quality`"
        )


def tell_map(display: Display, report: MapReport) -> None:
    """How many places there are, and who has none."""
    left_out = f", {report.left_out:,} left out, whose vectors are no numbers" if report.left_out else ""
    display.line(f"map       {report.points:,} places by {report.by}{left_out}, {report.seconds:,.1f} s")

"""What a run would take, before a cent is spent: images, requests, tokens, dollars and minutes."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pixelbrain.asking.cost.image_tokens import Detail
from pixelbrain.asking.cost.prices import PRICES_DATE, ModelPrice
from pixelbrain.asking.request.body import build_body
from pixelbrain.asking.request.estimate import estimate
from pixelbrain.asking.settings import AskSettings


@dataclass(frozen=True, kw_only=True)
class DryRunLine:
    """One way to ask: a level of detail, at once or through the Batch API."""

    detail: Detail
    batch: bool
    requests: int
    input_tokens: int
    output_tokens_max: int
    cost_usd_expected: Decimal
    cost_usd_max: Decimal
    minutes: float | None  # at the limits; None: no limits given, or a batch, which takes up to 24 hours


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a run would take."""

    model: str
    detail: Detail  # of the settings
    images: int
    without_size: int  # images that cannot be read, and are not asked about
    lines: tuple[DryRunLine, ...]  # low and high detail, each at once and as a batch
    first_request: dict[str, Any] | None  # its body, the image elided; None without images


def dry_run(
    rows: Iterable[tuple[str, int | None, int | None]],
    settings: AskSettings,
    price: ModelPrice,
    *,
    rpm: float | None = None,
    tpm: float | None = None,
) -> DryRun:
    """Add up what asking about these images takes. Reads no image and asks nobody.

    Args:
        rows: image_id, and width and height of the upright original in pixels, None where they could not be read. Only
            the images that are still to be asked about: what is remembered costs nothing.
        rpm, tpm: requests and tokens a minute that the account allows, where they are known.
    """
    sizes: collections.Counter[tuple[int, int]] = collections.Counter()  # few: a million photos take seconds
    images = without_size = 0
    first: tuple[str, int, int] | None = None
    for image_id, width, height in rows:
        images += 1
        if not width or not height:
            without_size += 1
            continue
        first = first or (image_id, width, height)
        sizes[width, height] += 1
    requests = sum(sizes.values())

    def line(detail: Detail, batch: bool) -> DryRunLine:
        asked = replace(settings, detail=detail)
        each = [(count, estimate(asked, price, *size, batch=batch)) for size, count in sizes.items()]
        input_tokens = sum(count * one.input_tokens for count, one in each)
        output_tokens = sum(count * one.output_tokens_max for count, one in each)
        # before an answer is there, a limiter has to count the most that it may take against the tokens a minute
        waits = [requests / rpm] if rpm else []
        waits += [(input_tokens + output_tokens) / tpm] if tpm else []
        return DryRunLine(
            detail=detail,
            batch=batch,
            requests=requests,
            input_tokens=input_tokens,
            output_tokens_max=output_tokens,
            cost_usd_expected=sum((count * one.cost_usd_expected for count, one in each), Decimal(0)),
            cost_usd_max=sum((count * one.cost_usd_max for count, one in each), Decimal(0)),
            minutes=max(waits) if waits and not batch else None,
        )

    return DryRun(
        model=settings.model,
        detail=settings.detail,
        images=images,
        without_size=without_size,
        lines=(line("low", False), line("low", True), line("high", False), line("high", True)),
        first_request=first and _first_request(settings, price, *first),
    )


def _first_request(settings: AskSettings, price: ModelPrice, image_id: str, width: int, height: int) -> dict[str, Any]:
    width, height = price.tokens.target(width, height, settings.detail)
    jpeg = f"data:image/jpeg;base64,<{image_id} in {width} x {height} pixels>"
    return build_body(settings, settings.questions, f"<presigned URL of {image_id}>" if settings.image_urls else jpeg)


def describe(found: DryRun) -> list[str]:
    """The dry run as lines of text: the table, what it rests on, and the first request as it would be sent."""
    asked = found.images - found.without_size
    lines = [f"{asked:,} image{'' if asked == 1 else 's'} to ask {found.model} about"]
    if found.without_size:
        lines[0] += f"; {found.without_size:,} more cannot be read, and are left out"
    rows: list[tuple[str, ...]] = [("detail", "", "requests", "tokens in", "tokens out", "expected", "at most", "time")]
    rows += [
        (
            f"{line.detail}{' *' if line.detail == found.detail else ''}",
            "batch" if line.batch else "at once",
            *(f"{count:,}" for count in (line.requests, line.input_tokens, line.output_tokens_max)),
            *(_dollars(usd) for usd in (line.cost_usd_expected, line.cost_usd_max)),
            "up to 24 h" if line.batch else _time(line.minutes),
        )
        for line in found.lines
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines.append("")
    for row in rows:
        cells = [f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"* these settings. Prices of {PRICES_DATE}; tokens out and dollars at most are if every answer is as long as "
        "it may be.",
    ]
    if asked and not any(line.cost_usd_max for line in found.lines):
        lines.append(
            "A server of your own costs nothing; if it is paid for, name prices in --config, or its --provider."
        )
    if found.first_request is not None:
        lines += ["", "The first request: POST /v1/chat/completions"]
        lines += json.dumps(found.first_request, indent=2, ensure_ascii=False).splitlines()
    return lines


def _dollars(amount: Decimal) -> str:
    """Cents, and four digits below a dollar, so that a small run does not look free."""
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def _time(minutes: float | None) -> str:
    if minutes is None:
        return "give --rpm, --tpm"
    return f"{minutes / 60:,.1f} h" if minutes >= 120 else f"{math.ceil(minutes)} min"

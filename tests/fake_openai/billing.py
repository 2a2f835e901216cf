"""What the fake would bill: its own small table of models, prices and image token rules.

Prices in USD per million tokens and token rules as OpenAI publishes them (pages "Pricing" and "Images and vision" of
developers.openai.com, November 2026), written down here a second time on purpose: the product has its own table.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["BATCH_FACTOR", "MODELS", "Model", "cost_usd", "find_model", "image_tokens", "schema_tokens", "text_tokens"]

BATCH_FACTOR = Decimal("0.5")


_LONG_SIDE_PX = 2048  # of both families: larger images are first fitted into it


@dataclass(frozen=True)
class Tiles:
    """The short side reduced to 768 px, then `base`, and `tile` for each 512 px tile. Low: `base`."""

    base: int
    tile: int


@dataclass(frozen=True)
class Patches:
    """32 px patches, reduced to at most `budget` of them, times `multiplier`. Low: the same."""

    multiplier: Fraction
    budget: int


@dataclass(frozen=True)
class Model:
    """A model that the fake has."""

    name: str
    snapshot: str  # the name under which it answers
    input_usd: Decimal  # per million tokens
    output_usd: Decimal
    images: Tiles | Patches
    max_output_tokens: int
    reasoning: bool = False  # takes neither temperature nor max_tokens


MODELS = {
    model.name: model
    for model in (
        Model("gpt-4o", "gpt-4o-2024-08-06", Decimal("2.50"), Decimal("10.00"), Tiles(85, 170), 16_384),
        Model("gpt-4o-mini", "gpt-4o-mini-2024-07-18", Decimal("0.15"), Decimal("0.60"), Tiles(2833, 5667), 16_384),
        Model(
            "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", Decimal("0.40"), Decimal("1.60"),
            Patches(Fraction("1.62"), 6144), 32_768,
        ),
        Model(
            "o4-mini", "o4-mini-2025-04-16", Decimal("1.10"), Decimal("4.40"),
            Patches(Fraction("1.72"), 1536), 100_000, reasoning=True,
        ),
    )
}  # fmt: skip
_BY_ANY_NAME = MODELS | {model.snapshot: model for model in MODELS.values()}


def find_model(name: Any) -> Model | None:
    """The model of a name or of a dated snapshot's name."""
    return _BY_ANY_NAME.get(name) if isinstance(name, str) else None


def image_tokens(model: Model, width: int, height: int, detail: str) -> int:
    """An image's prompt tokens; `auto` counts as `high`."""
    rule = model.images
    if isinstance(rule, Tiles) and detail == "low":
        return rule.base
    if max(width, height) > _LONG_SIDE_PX:
        scale = Fraction(_LONG_SIDE_PX, max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if isinstance(rule, Patches):
        return math.ceil(_patches(width, height, rule.budget) * rule.multiplier)
    if min(width, height) > 768:
        scale = Fraction(768, min(width, height))
        width, height = int(width * scale), int(height * scale)
    return rule.base + rule.tile * math.ceil(width / 512) * math.ceil(height / 512)


def _patches(width: int, height: int, budget: int) -> int:
    """Patches after reducing to `budget`, by the published formula: 2048 x 2048 with 2,500 is 1600 x 1600, so 2,500."""
    count = math.ceil(width / 32) * math.ceil(height / 32)
    if count <= budget:
        return count
    shrink = math.sqrt(32 * 32 * budget / (width * height))
    across, down = width * shrink / 32, height * shrink / 32
    if min(across, down) < 1:  # a strip thinner than a patch, of which the formula would leave nothing
        return budget
    shrink *= min(math.floor(across) / across, math.floor(down) / down)
    # 1e-6: a side that is a whole number of patches must not lose a pixel to the last bit of a float.
    return math.ceil(int(width * shrink + 1e-6) / 32) * math.ceil(int(height * shrink + 1e-6) / 32)


def text_tokens(text: str) -> int:
    """About what a tokenizer says of English: four bytes a token."""
    return math.ceil(len(text.encode()) / 4)


def schema_tokens(schema: dict[str, Any] | None) -> int:
    """A response format is part of the prompt."""
    return text_tokens(json.dumps(schema, separators=(",", ":"))) if schema else 0


def cost_usd(model: Model, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> Decimal:
    """Exact, not rounded to cents."""
    usd = (prompt_tokens * model.input_usd + completion_tokens * model.output_usd) / 1_000_000
    return usd * BATCH_FACTOR if batch else usd

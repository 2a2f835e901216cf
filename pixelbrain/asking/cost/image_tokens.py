"""How models count an image: by 512-pixel tiles or by 32-pixel patches, and which size of it they can use.

The rules are those of OpenAI's guide "Images and vision" (https://developers.openai.com/api/docs/guides/images-vision,
"Model sizing behavior" and "Calculating costs"), in whole numbers throughout, so that no pixel depends on a rounding
error. The guide does not say how the first reduction rounds; billed counts that users published (2049 x 513 pixels: 8
tiles, 2050 x 513: 4 tiles, https://community.openai.com/t/1281361) fit rounding to the nearest pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

#: At low detail a model sees at most 512 x 512 pixels; where its server does not see to that, we do.
LOW_SIDE_PX = 512

Detail = Literal["low", "high"]


@dataclass(frozen=True, kw_only=True)
class TileTokens:
    """An image is `base` tokens, and at high detail `tile` more for each square of `tile_px` that it covers."""

    base: int
    tile: int
    tile_px: int = 512
    long_side_px: int = 2048
    short_side_px: int = 768

    def target(self, width: int, height: int, detail: Detail) -> tuple[int, int]:
        """The largest size of which the model sees every pixel, never more than the upright original's, 1 or more."""
        if detail == "low":
            return _fit(width, height, LOW_SIDE_PX)
        short, long = min(width, height), max(width, height)
        if short * self.long_side_px <= long * self.short_side_px or short <= self.short_side_px:
            return _fit(width, height, self.long_side_px)
        return width * self.short_side_px // short, height * self.short_side_px // short

    def count(self, width: int, height: int, detail: Detail) -> int:
        """Tokens of an image that is sent in this size."""
        if detail == "low":
            return self.base
        width, height = _fit(width, height, self.long_side_px, rounded=True)
        short = min(width, height)
        if short > self.short_side_px:
            width, height = width * self.short_side_px // short, height * self.short_side_px // short
        return self.base + self.tile * math.ceil(width / self.tile_px) * math.ceil(height / self.tile_px)


@dataclass(frozen=True, kw_only=True)
class PatchTokens:
    """An image is `multiplier` tokens for each 32-pixel patch, reduced to `budget` patches at most."""

    multiplier: Decimal
    budget: int = 1536  # patches at high detail
    long_side_px: int = 2048
    low_side_px: int = LOW_SIDE_PX  # what the server itself reduces to at low detail
    low_budget: int = 256
    patch_px: int = 32

    def target(self, width: int, height: int, detail: Detail) -> tuple[int, int]:
        """The largest size of which the model sees every pixel; at low detail never over 512 pixels a side."""
        if detail == "low":
            width, height = _fit(width, height, min(LOW_SIDE_PX, self.low_side_px))
            return self._within(width, height, self.low_budget)
        return self._within(*_fit(width, height, self.long_side_px), self.budget)

    def count(self, width: int, height: int, detail: Detail) -> int:
        """Tokens of an image that is sent in this size."""
        side, budget = (self.low_side_px, self.low_budget) if detail == "low" else (self.long_side_px, self.budget)
        width, height = self._within(*_fit(width, height, side, rounded=True), budget)
        return math.ceil(self._patches(width, height) * self.multiplier)

    def _patches(self, width: int, height: int) -> int:
        return math.ceil(width / self.patch_px) * math.ceil(height / self.patch_px)

    def _within(self, width: int, height: int, budget: int) -> tuple[int, int]:
        """The size reduced to `budget` patches, as the guide's step B says, in whole numbers.

        The guide shrinks by sqrt(patch_px^2 * budget / (width * height)) and then on to whole patches of one side;
        floor(sqrt(budget * width / height)) is how many of them are left across.
        """
        if self._patches(width, height) <= budget:
            return width, height
        across, down = math.isqrt(budget * width // height), math.isqrt(budget * height // width)
        if not across or not down:  # a ribbon: one patch wide, and as long as the budget
            return _fit(width, height, budget * self.patch_px)
        if across * height <= down * width:
            return across * self.patch_px, max(1, height * across * self.patch_px // width)
        return max(1, width * down * self.patch_px // height), down * self.patch_px


def _fit(width: int, height: int, side_px: int, *, rounded: bool = False) -> tuple[int, int]:
    """The size reduced to fit a square, or as it is; the shorter side rounded down, or to the nearest as servers do."""
    longest = max(width, height)
    if longest <= side_px:
        return width, height
    rest = longest // 2 if rounded else 0
    return max(1, (width * side_px + rest) // longest), max(1, (height * side_px + rest) // longest)

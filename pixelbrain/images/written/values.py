"""What files hold, as texts and numbers that a table can hold; whatever is none of them is None."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

#: Controls, halves of surrogate pairs, what is no character, and marks that turn the direction of the text around them.
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\uffff]+")
#: Short, as digits cost: an exponent of nine digits would keep a machine busy for minutes.
_NUMBER = re.compile(r"([+-]?\d{1,15}(?:\.\d{0,15})?)(?:/(\d{1,15}(?:\.\d{0,15})?))?", re.ASCII)


def clean_text(value: Any, most: int) -> str | None:
    """A text of one line and at most so many characters, without controls; None where none is left.

    EXIF's ASCII is often UTF-8, which Pillow reads as Latin-1: where it can be, it is taken for that.
    """
    if isinstance(value, tuple) and value and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        value = bytes(value)
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            return _line(value, most)
    return _line(decode_text(value), most) if isinstance(value, bytes) else None


def decode_text(data: bytes) -> str:
    """UTF-8 where it can be, else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _line(text: str, most: int) -> str | None:
    text = text.partition("\0")[0][: 8 * most]  # C's texts end at a zero, whatever is behind it; some have megabytes
    return " ".join(_UNWANTED.sub(" ", text).split())[:most].rstrip() or None


def number_of(value: Any, least: float, most: float) -> float | None:
    """A number within both bounds, such as EXIF's fractions and those that XMP writes as a text (1/200); else None."""
    if isinstance(value, (tuple, list)):
        value = value[0] if value else None
    try:
        if isinstance(value, (str, bytes)):
            found = _NUMBER.fullmatch((value.decode("ascii") if isinstance(value, bytes) else value).strip(" \0\t\n"))
            if found is None:
                return None
            value = Fraction(found[1]) / Fraction(found[2] or 1)
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) and least <= number <= most else None


def whole_of(value: Any, least: int, most: int) -> int | None:
    """The nearest whole number, within both bounds; else None."""
    number = number_of(value, least - 0.5, most + 0.5)
    return None if number is None else min(max(round(number), least), most)

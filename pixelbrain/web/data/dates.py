"""Dates as people write them among other words: july 2019, 3 July 2019, 07/2019, 3.7.2019."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMES = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october"]
_NAMES += ["november", "december"]
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_SHORT = {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
_YEAR, _DAY = re.compile(r"(?:18|19|20)\d\d"), re.compile(r"([0-3]?\d)(?:st|nd|rd|th)?\.?")
_NUMBERS = (
    re.compile(r"(?P<m>\d\d?)[./-](?P<y>\d{4})"),  # 07/2019
    re.compile(r"(?P<y>\d{4})[./-](?P<m>\d\d?)(?:[./-](?P<d>\d\d?))?"),  # 2019/7/3, 2019-7
    re.compile(r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})"),  # 3.7.2019
)


@dataclass(frozen=True)
class Day:
    """A day, a month or a year, as it was written, and what the beginning of its photos' dates looks like."""

    text: str
    pattern: str


def days_and_words(words: Sequence[tuple[str, bool]]) -> list[Day | str]:
    """Words of small letters, and whether each stood in quotes: those that are dates as such, those of one as one.

    The name of a month alone is that month of any year.
    """
    found: list[Day | str] = []
    at = 0
    while at < len(words):
        text, quoted = words[at]
        for size in () if quoted else (3, 2, 1):
            some = words[at : at + size]
            if len(some) == size and not any(one for _text, one in some):
                day = _day([one.strip(",") for one, _quoted in some])
                if day:
                    found.append(Day(" ".join(one for one, _quoted in some), day))
                    at += size
                    break
        else:
            found.append(text)
            at += 1
    return found


def _day(words: list[str]) -> str | None:
    """A pattern of `taken_at`; None: these words are no date."""
    if len(words) == 1:
        if words[0] in _MONTHS:
            return rf"^\d{{4}}-{_MONTHS[words[0]]:02}"
        found = next(filter(None, (one.fullmatch(words[0]) for one in _NUMBERS)), None)
        told = found.groupdict() if found else {}
        return _pattern(told["y"], int(told["m"]), told.get("d")) if told else None
    years = [one for one in words if _YEAR.fullmatch(one)]
    months = [number for one in words if (number := _MONTHS.get(one) or _SHORT.get(one.rstrip(".")))]
    days = [found[1] for one in words if not _YEAR.fullmatch(one) and (found := _DAY.fullmatch(one))]
    if len(years) + len(months) + len(days) != len(words) or len(years) != 1 or len(months) != 1 or len(days) > 1:
        return None
    return _pattern(years[0], months[0], days[0] if days else None)


def _pattern(year: str, month: int, day: str | None) -> str | None:
    if not 1 <= month <= 12 or (day and not 1 <= int(day) <= 31):
        return None
    return f"^{year}-{month:02}" + (f"-{int(day):02}" if day else "")

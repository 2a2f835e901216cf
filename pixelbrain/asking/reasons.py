"""Why requests failed, in the server's own words: counted, the like together; and when it is no image's fault."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pixelbrain.errors import StopJob

#: So many requests that fail alike without an answer, and the next will too: before anything was answered, and later.
_FIRST, _LATER = 8, 100
#: Kinds of reasons that are told apart, at most: a server that words each differently does not fill the memory.
_KINDS = 1000
#: What differs from one request to the next, though the reason is one: ids, numbers, quoted values of any length.
_VARIABLE = re.compile(r"\b(?:req|chatcmpl|msg|run|org|batch|file)[_-]\w+|\b(?=\w*\d)[\w.,:-]+", re.IGNORECASE)
_IMAGE = re.compile(r"image|picture|photo|pixel|base64|jpe?g", re.IGNORECASE)
#: Of a request that a server repeats beside its words, what is no word of an image.
_REPEATED = re.compile(r"data:image/[\w;,+/=]*|(['\"])image_url\1(?=\s*[:,}])", re.IGNORECASE)
#: Of a model or a server that takes no image at all: that is said with the same words.
_NO_VISION = re.compile(
    r"(?:not|n't|never|no|only) (?:\w+ )?(?:support|accept|allow|vision|multi-?modal)|no endpoints?|text[- ]only"
    r"|only (?:\w+ )?text|image_url.{0,20} (?:only|not)|must be a string|mmproj",
    re.IGNORECASE,
)


def about_image(reason: str) -> bool:
    """Whether a reason is one image's own, as that it cannot be decoded; other images may do better then."""
    return bool(_IMAGE.search(_REPEATED.sub("", reason))) and not _NO_VISION.search(reason)


@dataclass
class Reasons:
    """Counts reasons; of each kind, the first one's own words are kept. Merged with `+=`."""

    counts: Counter[str] = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, count: int = 1) -> int:
        """Count one; so many of its kind there are now."""
        kind = _VARIABLE.sub("#", reason)
        kind = kind if kind in self.words or len(self.words) < _KINDS else "others"
        self.words.setdefault(kind, reason)
        self.counts[kind] += count
        return self.counts[kind]

    def __iadd__(self, other: Reasons) -> Reasons:
        for kind, count in other.counts.items():
            self.add(other.words[kind], count)
        return self

    def most_common(self, count: int | None = None) -> list[tuple[str, int]]:
        """Reasons in the words of the first of their kind, the most frequent first, and how many there were."""
        return [(self.words[kind], number) for kind, number in self.counts.most_common(count)]


@dataclass
class Unanimous:
    """Notices that every request fails for one reason that is not its image's: asking on would fail them all."""

    _since_answer: Reasons = field(default_factory=Reasons)
    _enough: int = _FIRST

    def answered(self) -> None:
        """The server answered one: what fails now and then is a request's own affair."""
        if self._enough == _FIRST or self._since_answer.counts:
            self._since_answer, self._enough = Reasons(), _LATER

    def failed(self, reason: str) -> StopJob | None:
        """One failed for good; the error to stop with, if it is enough."""
        if about_image(reason):
            return None
        count = self._since_answer.add(reason)
        return every_one(count, reason) if count >= self._enough else None


def every_one(count: int, reason: str) -> StopJob:
    """What is raised where `count` requests, all there were or all in a row, failed for one reason."""
    requests = "the request" if count == 1 else f"all of {count:,} requests"
    return StopJob(
        f"{requests} failed, and not for the image's sake: {reason}. Mend what it names (--model, --base-url, "
        "--provider and what it changes), and run the same command again: no image is marked as failed for good"
    )


def only_reason(statuses: Mapping[str, int], by_server: Reasons) -> StopJob | None:
    """The error to end with where a whole run's answers failed for one reason that is not the images'.

    Images that could not be read were not sent, and say nothing of it: they are not in `by_server`.
    """
    if set(+Counter(statuses)) != {"failed"} or len(by_server.counts) != 1:
        return None
    ((reason, count),) = by_server.most_common()
    return None if about_image(reason) else every_one(count, reason)


def as_rows(reasons: Reasons, most: int = 20) -> list[dict[str, Any]]:
    """For JSON: reasons with their counts."""
    return [{"reason": reason, "count": count} for reason, count in reasons.most_common(most)]

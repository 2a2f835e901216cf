"""What the fake remembers of each request, and the sums that tests assert on."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.fake_openai.billing import cost_usd
from tests.fake_openai.completions import Asked, Completion

__all__ = ["Entry", "Ledger"]


@dataclass(slots=True)
class Entry:
    """One request, or one line of a batch."""

    at: float  # seconds since the epoch, at its arrival
    status: int = 0  # of the response; 0 while there is none
    key_ok: bool = True
    model: str = ""
    image: str = ""  # sha256 of the image's bytes; "" for none
    questions: str = ""
    fault: str = ""
    error: str = ""  # code, or type
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = ""
    billed: Decimal = field(default_factory=Decimal)
    delivered: bool = False  # the whole answer was sent, to a client that was still there
    batch: str = ""  # its id, for a line

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `billed` as text."""
        return {name: getattr(self, name) for name in self.__slots__} | {"billed": f"{self.billed:f}"}


class Ledger:
    """All entries, in the order of arrival, and running sums over them."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget all but what is in flight."""
        self.entries: list[Entry] = []
        self.answered: Counter[str] = Counter()  # by "image sha256:questions"
        self.in_flight_max = self.in_flight
        self.billed = Decimal(0)
        self.lost = Decimal(0)

    def open(self) -> Entry:
        """Note a request's arrival."""
        entry = Entry(at=time.time())
        self.entries.append(entry)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        return entry

    def close(self) -> None:
        """Its handling ended, whatever became of it."""
        self.in_flight -= 1

    def line(self, batch_id: str) -> Entry:
        """Note that a line of a batch is worked on."""
        entry = Entry(at=time.time(), batch=batch_id)
        self.entries.append(entry)
        return entry

    def bill(self, entry: Entry, asked: Asked, completion: Completion) -> None:
        """An answer was made; from here on it is paid for, whether it gets through or not."""
        entry.status = 200
        entry.prompt_tokens, entry.completion_tokens = completion.prompt_tokens, completion.completion_tokens
        entry.finish_reason = completion.finish_reason
        entry.billed = cost_usd(
            asked.checked.model, completion.prompt_tokens, completion.completion_tokens, batch=bool(entry.batch)
        )
        self.billed += entry.billed
        self.lost += entry.billed
        self.answered[f"{entry.image}:{entry.questions}"] += 1

    def deliver(self, entry: Entry) -> None:
        """The billed answer got through."""
        if not entry.delivered:
            entry.delivered = True
            self.lost -= entry.billed

    def stats(self) -> dict[str, Any]:
        """The sums. Money is exact, as text."""
        made = [entry for entry in self.entries if entry.finish_reason]
        return {
            "requests": sum(not entry.batch for entry in self.entries),
            "batch_lines": sum(bool(entry.batch) for entry in self.entries),
            "by_status": dict(Counter(str(entry.status) for entry in self.entries)),
            "wrong_keys": sum(not entry.key_ok for entry in self.entries),
            "answered": len(made),
            "answered_distinct": len(self.answered),  # images, each with a set of questions
            "answered_again": len(made) - len(self.answered),  # paid for more than once
            "delivered": sum(entry.delivered for entry in made),
            "prompt_tokens": sum(entry.prompt_tokens for entry in made),
            "completion_tokens": sum(entry.completion_tokens for entry in made),
            "billed_usd": f"{self.billed:f}",  # all of it
            "lost_usd": f"{self.lost:f}",  # the part of it whose answers did not get through
            "in_flight": self.in_flight,
            "in_flight_max": self.in_flight_max,
        }

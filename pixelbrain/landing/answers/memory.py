"""What was answered before, by key, and the journal that new answers go to: nobody pays for one twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pixelbrain.landing.answers.log import FINAL_STATUSES, AnswerLog


class AnswerMemory:
    """The answers of an OUT, for one process that asks.

    Args:
        log: the answers so far.
        writer: names this process's journal; no two may share it.
        types: the Arrow type of each field's answers.
        questions: by field, the hash of what is asked now; given to records that do not say what they answer.
    """

    def __init__(
        self, log: AnswerLog, writer: str, types: Mapping[str, pa.DataType], questions: Mapping[str, str]
    ) -> None:
        self._questions = questions
        #: As JSON: a tenth of what they would take as objects.
        self._known = {r["key"]: json.dumps(r) for r in log.records() if r["key"] and r["status"] in FINAL_STATUSES}
        self._journal = log.journal(writer, types)

    def remembered(self, key: str) -> dict[str, Any] | None:
        """The record of an answer that was paid for under this key."""
        found = self._known.get(key)
        return json.loads(found) if found is not None else None

    def journal(self, record: Mapping[str, Any]) -> None:
        """Keep a record: in the journal, see there how safe that is at once, and in mind if it is an answer."""
        self._journal.append({"question": self._questions.get(record["field"]), **record})
        if record["key"] and record["status"] in FINAL_STATUSES:
            self._known[record["key"]] = json.dumps(record)

    def flush(self) -> None:
        """Return when no killed process can lose what was journalled; on S3 that takes a request."""
        self._journal.flush()

    def close(self) -> None:
        """Put the journal where it stays."""
        self._journal.close()

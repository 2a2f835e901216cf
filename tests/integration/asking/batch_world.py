"""A world for the tests of the Batch API lane: images in a folder, a journal that survives processes, runs of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pixelbrain.asking.batch.cancel import CancelReport, cancel_batches
from pixelbrain.asking.batch.rounds import BatchReport
from pixelbrain.asking.batch.run import run_batches
from pixelbrain.asking.cost.prices import find_price
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.request.client import make_sync_client
from pixelbrain.asking.request.photo import prepare_photo
from pixelbrain.asking.settings import AskSettings
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.open import open_storage
from tests.fake_openai.answers import expected_answer
from tests.fake_openai.running import FakeOpenAI

WIDTH = Question(field="width_px", text="How wide?", answer=answer_type("int"))
SEEN = Question(field="seen", text="What is there?", answer=answer_type("text"))
SETTINGS = AskSettings(questions=(WIDTH, SEEN), max_output_tokens=60)
POLL_S = 0.05


class World:
    """An OUT with images beside it.

    Args:
        out: the folder of results.
        images: files; a run asks about all of them that have no answer.
        settings: what is asked.
    """

    def __init__(self, out: Path, images: Path, settings: AskSettings = SETTINGS) -> None:
        self.out = out
        self.images = images
        self.settings = settings
        self.journal_path = out / "journal.jsonl"
        out.mkdir(parents=True, exist_ok=True)

    @property
    def states_folder(self) -> Path:
        """Where the batches' states are."""
        return self.out / "answers" / "batches"

    def states(self) -> list[dict[str, Any]]:
        """The batches' states, oldest first."""
        found = []
        for path in sorted(self.states_folder.glob("*.json")):
            try:
                found.append(json.loads(path.read_text()))
            except FileNotFoundError:
                continue  # it ended while we looked: a run that is about to be killed works on them
        return found

    def records(self) -> list[dict[str, Any]]:
        """Everything that was journalled."""
        if not self.journal_path.exists():
            return []
        return [json.loads(line) for line in self.journal_path.read_text().splitlines() if line]

    def newest(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The last record of each image and field."""
        return {(record["image_id"], record["field"]): record for record in self.records()}

    def cost_usd(self) -> Decimal:
        """Of all records."""
        return sum((Decimal(record["cost_usd"]) for record in self.records()), Decimal(0))

    def entries(self) -> Iterator[dict[str, str]]:
        """The images that lack an answer."""
        done = {place for place, record in self.newest().items() if record["status"] in ("ok", "refused", "invalid")}
        for path in sorted(self.images.iterdir()):
            if any((path.name, question.field) not in done for question in self.settings.questions):
                yield {"image_id": path.name, "version": "1"}

    @contextlib.contextmanager
    def memory(self) -> Iterator[Memory]:
        """What was answered, and the open journal."""
        with open(self.journal_path, "a", buffering=1, encoding="utf-8") as file:
            yield Memory(self.records(), file)

    def run(self, client: Any = None, **more: Any) -> BatchReport:
        """One run, as of a command that holds OUT."""
        storage = open_storage(self.out)
        settings = {"already_spent_usd": self.cost_usd(), "poll_s": POLL_S, **more}
        with RunLock(storage, what="ask --batch"), self.memory() as memory:
            return run_batches(
                list(self.entries()),
                self.settings,
                find_price(self.settings.model),
                storage=storage,
                client=client or make_sync_client(),
                memory=memory,  # type: ignore[arg-type]
                read=lambda image_id: (self.images / image_id).read_bytes(),
                **settings,
            )

    def cancel(self, client: Any) -> CancelReport:
        """`--cancel`."""
        return cancel_batches(open_storage(self.out), client, self.memory, poll_s=POLL_S)  # type: ignore[arg-type]


class Memory:
    """An `AnswerMemory` whose journal is one file, flushed line by line."""

    def __init__(self, records: list[dict[str, Any]], file: Any) -> None:
        self._file = file
        self._known: dict[str, dict[str, Any]] = {}
        for record in records:
            self._note(record)

    def _note(self, record: dict[str, Any]) -> None:
        if record["key"] and record["status"] in ("ok", "refused", "invalid"):
            self._known[record["key"]] = record

    def remembered(self, key: str) -> dict[str, Any] | None:
        return self._known.get(key)

    def journal(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._note(record)

    def flush(self) -> None:
        self._file.flush()


def check_answers(world: World, count: int) -> None:
    """Each image has its own answers, and none twice."""
    records = world.records()
    ok = [record for record in records if record["status"] == "ok"]
    assert Counter((r["image_id"], r["field"]) for r in ok) == Counter(
        {(path.name, q.field): 1 for path in world.images.iterdir() for q in world.settings.questions}
    )
    assert len(ok) == count * len(world.settings.questions)
    price = find_price(world.settings.model)
    questions = {question.field: question for question in world.settings.questions}
    for record in ok:
        data = (world.images / record["image_id"]).read_bytes()
        jpeg, _size = prepare_photo(data, price=price, detail=world.settings.detail)
        assert record["answer"] == expected_answer(jpeg, questions[record["field"]].answer.json_schema())


def check_paid_once(world: World, fake: FakeOpenAI, count: int) -> None:
    """The fake answered each image once, and its bill is our report's sum to the last digit."""
    stats = fake.stats()
    assert stats["answered_again"] == 0
    assert stats["answered_distinct"] == count
    assert Decimal(stats["billed_usd"]) == world.cost_usd()


def run_apart(out: Path, images: Path, environment: dict[str, str], said: Connection) -> None:
    """A run in a process of its own, forked to be killed, or to be cancelled from outside."""
    os.environ.update(environment)
    said.send(str(World(out, images).run(max_requests=7)))

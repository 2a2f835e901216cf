"""What the process that examines ChromaDB answers, or how it ends, is what is said of the collections."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelbrain.errors import StoreError
from pixelbrain.stores.chroma import health_process
from pixelbrain.stores.chroma.health import Finding, Sample
from pixelbrain.stores.chroma.health_process import examine_folder

LOST = Finding(kind="index", reason="it is not there")


class Examiner:
    """Gives these answers, one after another; by collection, if there is only one asked about."""

    last_words = "Killed"

    def __init__(self, *answers, alone: dict | None = None) -> None:
        self.answers, self.alone, self.requests = list(answers), alone or {}, []

    def ask(self, request):
        self.requests.append(request)
        _folder, samples, _limit_s = request
        return self.alone[next(iter(samples))] if self.alone and len(samples) == 1 else self.answers.pop(0)


@pytest.fixture
def answering(monkeypatch):
    def answer(*answers, **by_collection) -> Examiner:
        examiner = Examiner(*answers, alone=by_collection)
        monkeypatch.setattr(health_process, "_running", lambda: examiner)
        return examiner

    return answer


def _look(**counts: int | None) -> dict[str, Finding]:
    return examine_folder(Path("/db"), {name: Sample(count=count) for name, count in counts.items()})


def test_findings_are_returned_and_large_collections_get_more_time(answering):
    examiner = answering({"faces": LOST})
    assert _look(faces=2_000_000, images=None) == {"faces": LOST}
    assert examiner.requests[0][2] == 120 + 1_000


def test_one_that_ended_idle_is_asked_once_more(answering):
    assert _look_twice(answering(None, {})) == {}
    answering(None, None)
    with pytest.raises(StoreError, match="does not answer: Killed"):
        _look(faces=1)


def _look_twice(examiner: Examiner) -> dict[str, Finding]:
    found = _look(faces=1)
    assert len(examiner.requests) == 2
    return found


def test_a_crash_is_the_collections_that_causes_it(answering):
    answering("SIGSEGV", faces="SIGSEGV", images={})
    assert _look(faces=1, images=1) == {"faces": Finding(kind="index", reason="reading it crashes a process (SIGSEGV)")}
    answering("SIGALRM")
    assert _look(images=2_000)["images"].reason == "reading it does not end within 121 s"


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_being_killed_is_no_damage(answering, signal):
    answering(signal)
    with pytest.raises(StoreError, match=f"was killed \\({signal}\\)"):
        _look(faces=1)


def test_why_nothing_could_be_read_is_raised(answering):
    answering(StoreError("no permission"))
    with pytest.raises(StoreError, match="no permission"):
        _look(faces=1)

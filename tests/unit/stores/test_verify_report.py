"""Differences are counted by kind, and a few of each are named."""

from __future__ import annotations

from pixelbrain.stores.verify_report import DifferenceCounter, VerifyReport


def _report(counter: DifferenceCounter, refused: int = 0) -> VerifyReport:
    return VerifyReport(
        images=1_234,
        image_vectors=2,
        face_vectors=3,
        refused=refused,
        differences=tuple(counter.found.values()),
        seconds=1.0,
    )


def test_ids_are_counted_and_the_first_five_named():
    counter = DifferenceCounter(where="MongoDB images")
    counter.add("missing", (str(n) for n in range(4)))
    counter.add("missing", ["x", "y"])
    counter.add("extra", [])
    counter.add("extra", ["z"])
    missing, extra = counter.found.values()
    assert (missing.count, missing.first) == (6, ("0", "1", "2", "3", "x"))
    assert str(missing) == "MongoDB images: 6 missing: '0', '1', '2', '3', 'x', ..."
    assert str(extra) == "MongoDB images: 1 extra: 'z'"


def test_a_whole_collection_differs_for_a_reason():
    counter = DifferenceCounter(where="ChromaDB faces")
    counter.whole("damaged", 1_000, "reading it crashes a process (SIGSEGV)")
    report = _report(counter, refused=1)
    assert not report.ok and report.as_dict()["ok"] is False
    assert report.lines()[0].startswith("verify    1,234 images, 2 image vectors and 3 face vectors in Parquet")
    assert "1 rows that no store can hold" in report.lines()[1]
    assert report.lines()[2].endswith("ChromaDB faces: 1,000 damaged: reading it crashes a process (SIGSEGV)")


def test_nothing_differs():
    assert _report(DifferenceCounter(where="x")).lines()[-1].endswith("agree with it")

"""Which ids were seen, of tables of any length."""

from __future__ import annotations

from pixelbrain.stores.ledger import IdLedger


def test_a_ledger_knows_what_was_added_and_counts_each_once():
    ledger = IdLedger()
    assert ledger.count() == 0 and ledger.unknown(["a"]) == ["a"] and ledger.holds([]).tolist() == []
    ledger.add(["b", "é", "a"])
    ledger.add(["a", "c"])
    assert ledger.count() == 4
    assert ledger.holds(["a", "x", "é"]).tolist() == [True, False, True]
    assert ledger.unknown(["x", "a", "y"]) == ["x", "y"]
    ledger.add(["x"])  # after it was asked
    assert ledger.unknown(["x", "a", "y"]) == ["y"] and ledger.count() == 5

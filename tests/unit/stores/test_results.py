"""What several writes did is what each did."""

from __future__ import annotations

from pixelbrain.stores.results import WriteResult


def test_results_add_up():
    one = WriteResult(written=1, unchanged=2, errors=(("a", "bad"),))
    assert one + WriteResult() == one
    both = one + WriteResult(written=3, unchanged=4, errors=(("b", "worse"),))
    assert (both.written, both.unchanged, both.errors) == (4, 6, (("a", "bad"), ("b", "worse")))

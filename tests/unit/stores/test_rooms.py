"""The two stores know neither each other nor what puts them together."""

from __future__ import annotations

import pytest

from tests.unit.test_imports import FILES, imported_modules

ABOVE = {f"pixelbrain.stores.{name}" for name in ("database", "load", "verify", "in_step")}


@pytest.mark.parametrize(("room", "other", "count"), [("mongo", "chroma", 9), ("chroma", "mongo", 7)])
def test_a_store_imports_only_what_both_share(room, other, count):
    files = [file for name, file in FILES.items() if name.startswith(f"pixelbrain.stores.{room}.")]
    assert len(files) >= count
    for file in files:
        imported = imported_modules(file)
        assert not {n for n in imported if n in ABOVE or n.startswith(f"pixelbrain.stores.{other}")}, file

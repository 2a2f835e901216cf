"""What a load remembers changes with what landed and was answered, and no row is read for it."""

from __future__ import annotations

import json

import pytest

from pixelbrain.landing.landing import Landing
from pixelbrain.stores.load_record import landed_digest, vectors_behind
from tests.unit.landed_out import land_faces


def test_it_follows_images_and_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(Landing, "iter_images", lambda *_, **__: pytest.fail("no row is read"))
    landing = land_faces(tmp_path, ["file:///a.jpg#0"])
    digests = [landed_digest(landing)]
    land_faces(tmp_path, ["file:///b.jpg#0"], generation=2)
    landing.refresh()
    digests.append(landed_digest(landing))
    (tmp_path / "answers" / "is_red").mkdir(parents=True)
    (tmp_path / "answers" / "is_red" / "part-000001.parquet").write_text(json.dumps("its name is enough"))
    digests.append(landed_digest(landing))
    assert len(set(digests)) == 3 and landed_digest(Landing(tmp_path)) == digests[-1]


def test_nothing_is_behind_where_nothing_landed(tmp_path):
    assert vectors_behind(Landing(tmp_path), "faces", "", 0) is None
    assert "holds 2 faces, and 0 landed" in str(vectors_behind(Landing(tmp_path), "faces", "", 2))

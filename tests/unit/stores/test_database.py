"""A database opens no store that is not needed, and none after it was closed."""

from __future__ import annotations

import numpy as np
import pytest

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.stores.database import Database


def test_what_is_not_there_is_not_made(tmp_path):
    with Database.open(tmp_path / "out") as database:
        assert not database.has_mongo and not database.has_vectors and not database.remote_vectors
        with pytest.raises(StoreError, match="no vectors of faces in .*pixelbrain load"):
            database.query_vector_field("faces", np.ones(2))
        with pytest.raises(ConfigError, match="limit is -1"):
            database.find_images(limit=-1)
        database.delete()
    assert not list(tmp_path.iterdir())


def test_a_closed_one_is_closed(tmp_path):
    database = Database.open(tmp_path / "out")
    database.close()
    database.close()
    for store in ("mongo", "vectors"):
        with pytest.raises(StoreError, match="is closed: open it again"):
            getattr(database, store)
    assert not list(tmp_path.iterdir())


def test_servers_are_there_to_be_asked(tmp_path):
    database = Database.open(tmp_path, mongo="mongodb://me:pass@host/db", chroma="http://host:8000/name")
    assert database.has_mongo and database.has_vectors and database.remote_vectors
    assert "pass" not in repr(database)
    with pytest.raises(ConfigError, match="cannot name a ChromaDB database"):
        Database.open(tmp_path, chroma="http://host:8000/x")
    with pytest.raises(ConfigError, match="MongoDB's own"):
        Database.open(tmp_path, mongo="mongodb://host/admin")

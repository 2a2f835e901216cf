"""People and groups say what they were derived from, and a row whose photo or face has changed is seen by nobody."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.landing.compact import compact
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import write_table
from tests.unit.landed_out import land_faces

FACES = ["file:///a.jpg#0", "file:///a.jpg#1", "file:///b.jpg#0"]
COLUMNS = pa.schema([schema.IDENTITY_SCHEMA.field(i) for i in range(5)])


def identities(faces: list[str]) -> pa.Table:
    rows = [
        {"face_id": one, "image_id": one.partition("#")[0], "identity_id": f"person-{n}", "assigned": "clustered"}
        for n, one in enumerate(faces)
    ]
    return pa.Table.from_pylist(rows, COLUMNS)


@pytest.fixture
def identified(tmp_path) -> Landing:
    landing = land_faces(tmp_path, FACES)
    IDENTITIES.write(landing, identities([*FACES, "file:///nobody.jpg#0"]))
    return landing


def identities_digest(landing: Landing) -> str:
    landing.refresh()
    return IDENTITIES.digest(landing)


def named(landing: Landing) -> dict[str, str]:
    landing.refresh()
    table = IDENTITIES.read(landing).rows
    return dict(zip(table["face_id"].to_pylist(), table["identity_id"].to_pylist(), strict=True))


def test_rows_keep_their_order_and_say_where_they_are_from(identified):
    rows = IDENTITIES.read(identified).rows.to_pylist()
    assert [row["face_id"] for row in rows] == FACES  # and nobody's face is not there
    assert {(row["image_version"], row["x1"], row["y2"]) for row in rows} == {("1", 1.0, 4.0)}
    assert not IDENTITIES.read(identified).outdated


@pytest.mark.parametrize(
    "change",
    [{"version": "2"}, {"settings": {"embedder": "other"}}, {"x1": 1.5}],
    ids=["another photo", "other settings", "another face at its place"],
)
def test_a_name_does_not_pass_to_what_takes_the_place_of_a_face(identified, tmp_path, change):
    land_faces(tmp_path, ["file:///a.jpg#0"], generation=2, **change)
    assert named(identified) == {FACES[2]: "person-2"}
    state = IDENTITIES.read(identified)
    assert (state.stale, state.missing, state.outdated) == (2, 1, True)
    compact(identified)
    assert named(identified) == {FACES[2]: "person-2"}


def test_the_same_again_keeps_its_names(identified, tmp_path):
    land_faces(tmp_path, FACES, generation=2)
    assert len(named(identified)) == 3 and not IDENTITIES.read(identified).outdated


def test_the_same_again_is_nothing_new_to_later_stages(identified):
    digest = identities_digest(identified)
    IDENTITIES.write(identified, identities([*FACES, "file:///nobody.jpg#0"]))
    assert identities_digest(identified) == digest
    IDENTITIES.write(identified, identities(FACES[1:]))
    assert identities_digest(identified) != digest and len(named(identified)) == 2
    (identified.storage.local / IDENTITIES.file).write_bytes(b"PAR1 cut short")
    IDENTITIES.write(identified, identities(FACES))
    assert len(named(identified)) == 3


def test_new_faces_are_missing(identified, tmp_path):
    land_faces(tmp_path, ["file:///c.jpg#0", "file:///c.jpg#1"], generation=2)
    assert len(named(identified)) == 3 and IDENTITIES.read(identified).missing == 2


def test_groups_fit_by_version_and_settings(tmp_path):
    landing = land_faces(tmp_path, FACES)
    rows = [{"image_id": f"file:///{name}.jpg", "group_id": "g", "distance": 0.1} for name in "ab"]
    GROUPS.write(landing, pa.Table.from_pylist(rows))
    assert len(GROUPS.read(landing).rows) == 2
    land_faces(tmp_path, FACES[:2], generation=2, version="2")
    landing.refresh()
    assert GROUPS.read(landing).rows["image_id"].to_pylist() == ["file:///b.jpg"]
    assert GROUPS.read(landing).missing == 1


def test_a_table_of_an_older_version_is_read_by_its_ids(tmp_path):
    landing = land_faces(tmp_path, FACES)
    write_table(landing.storage, "identities/identities.parquet", identities([*FACES[1:], "file:///gone.jpg#0"]))
    assert named(landing) == {FACES[1]: "person-0", FACES[2]: "person-1"}
    state = IDENTITIES.read(landing)
    assert state.rows.schema.equals(schema.IDENTITY_SCHEMA) and (state.stale, state.missing) == (1, 3)


def test_what_landed_has_a_digest_that_a_compact_leaves(tmp_path):
    landing = land_faces(tmp_path, FACES)
    digests = {landing.index.digest("facenet")}
    land_faces(tmp_path, FACES, generation=2)  # equal values, computed again
    landing.refresh()
    digests.add(landing.index.digest("facenet"))
    land_faces(tmp_path, ["file:///c.jpg#0"], generation=3)
    landing.refresh()
    before = landing.index.digest("facenet"), landing.index.digest()
    assert len(digests | {before[0]}) == 3
    assert compact(landing).files_after == 1
    assert (landing.index.digest("facenet"), landing.index.digest()) == before

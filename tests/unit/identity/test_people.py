import re
import resource

import numpy as np
import pytest

from pixelbrain import schema
from pixelbrain.config import STRATEGIES
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.identity.assign import cluster_name
from pixelbrain.identity.corrections.people import People
from pixelbrain.identity.people import PeopleIdentifierModule, QualityGate
from pixelbrain.identity.thresholds import face_threshold, group_threshold
from pixelbrain.landing.derived import IDENTITIES
from tests.unit.landed_out import land_faces

from .conftest import VectorTable

GOOD = {"score": 0.999, "width_px": 90.0, "sharpness": 200.0}


def _database(tmp_path, vectors, *, order=None, model="facenet-vggface2", **changed):
    """One face a photo; `changed` maps "f<row>" to metadata that is different there."""
    ids = [f"file:///photos/{row:03}.jpg#0" for row in range(len(vectors))]
    metadata = [{"image_id": one[:-2], **GOOD, **changed.get(f"f{row}", {})} for row, one in enumerate(ids)]
    order = range(len(ids)) if order is None else order
    return VectorTable(tmp_path, [ids[r] for r in order], vectors[list(order)], [metadata[r] for r in order], model)


def test_every_face_has_a_row_that_says_what_became_of_it(tmp_path, people):
    vectors = people(3, 5)[:11]  # five, five and one
    database = _database(tmp_path, vectors, f2={"sharpness": 1.0}, f7={"score": 0.9})
    report = PeopleIdentifierModule().run(database)
    assert (report.faces, report.assigned, report.single, report.gated, report.people) == (11, 8, 1, 2, 2)
    assert report.threshold == face_threshold("facenet-vggface2", "average")
    table = IDENTITIES.read(database.landing).rows
    assert table.schema.equals(schema.IDENTITY_SCHEMA)
    assert database.stored == ["identities"]
    rows = table.to_pylist()
    assert len(rows) == 11
    assert [row["face_id"] for row in rows] == database.ids
    how = ["clustered"] * 10 + ["single"]
    how[2] = how[7] = "gated"
    assert [row["assigned"] for row in rows] == how
    for number, row in enumerate(rows):
        assert row["image_id"] == row["face_id"][:-2]
        if row["assigned"] == "clustered":
            assert row["identity_id"] == cluster_name("person", database.ids[0 if number < 5 else 5])
            assert 0 < row["distance"] < 0.4
        else:
            assert row["identity_id"] is None and row["distance"] is None


def test_without_room_for_the_vectors_one_line_says_where(tmp_path, people):
    database = _database(tmp_path, people(3, 5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StoreError, match=r"has no room for \d+ vectors \(File too large\).*TMPDIR"):
            PeopleIdentifierModule()._run(database, rebuild=True)  # without the lock, which is a file, too
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_identities_are_the_same_on_every_run_and_in_every_order(tmp_path, people):
    vectors = people(4, 6)
    first = _database(tmp_path / "a", vectors)
    PeopleIdentifierModule().run(first)
    again = _database(tmp_path / "b", vectors, order=np.random.default_rng(0).permutation(24).tolist())
    PeopleIdentifierModule().run(again)
    a, b = (IDENTITIES.read(database.landing).rows for database in (first, again))
    assert a.drop_columns("distance").equals(b.drop_columns("distance"))
    assert np.allclose(a["distance"].to_numpy(), b["distance"].to_numpy(), atol=1e-6)
    assert len(set(a["identity_id"].to_pylist())) == 4


def test_photos_added_later_leave_the_names_alone(tmp_path, people):
    vectors = people(3, 6)
    early = _database(tmp_path / "a", vectors[[0, 1, 6, 7, 12, 13]])
    PeopleIdentifierModule().run(early)
    late = _database(tmp_path / "b", vectors[[0, 1, 6, 7, 12, 13, 2, 8, 14, 3]])
    PeopleIdentifierModule().run(late)
    names = [IDENTITIES.read(database.landing).rows["identity_id"].to_pylist() for database in (early, late)]
    assert names[1][:6] == names[0]


def test_a_name_is_content_and_not_chance():
    assert re.fullmatch(r"person-[0-9a-f]{12}", cluster_name("person", "file:///a.jpg#0"))
    assert (
        cluster_name("person", "file:///a.jpg#0")
        == cluster_name("person", "file:///a.jpg#0")
        != cluster_name("person", "file:///a.jpg#1")
    )


def test_a_lone_face_is_a_person_if_asked_for(tmp_path, people):
    database = _database(tmp_path, people(3, 1))
    assert PeopleIdentifierModule().run(database).people == 0
    report = PeopleIdentifierModule(min_faces=1).run(database)
    assert (report.people, report.assigned, report.single) == (3, 3, 0)


def test_no_faces_at_all(tmp_path):
    database = _database(tmp_path, np.empty((0, 8), np.float32))
    report = PeopleIdentifierModule().run(database)
    assert (report.faces, report.people) == (0, 0)
    assert IDENTITIES.read(database.landing).rows.num_rows == 0


def test_a_covered_face_links_nobody_and_may_join_somebody_and_one_upside_down_may_not(tmp_path, people):
    """By what landed, and nothing of it is in the vector index."""
    vectors = people(2, 6)
    low = {2: {"visible": 0.5}, 3: {"upright": -4.0}, 6: {"visible": 0.5}, 7: {"visible": 0.5}}
    database = _database(tmp_path, vectors[:8])
    land_faces(
        tmp_path, database.ids, measures={database.ids[row]: values for row, values in low.items()}, generation=2
    )
    database.landing.refresh()
    report = PeopleIdentifierModule().run(database)
    how = IDENTITIES.read(database.landing).rows["assigned"].to_pylist()
    assert how == ["clustered", "clustered", "late", "gated", "clustered", "clustered", "gated", "gated"]
    assert (report.assigned, report.gated, report.people) == (5, 3, 1)
    whys = {row: People(tmp_path).explain(database.ids[row])["why"] for row in (2, 3, 6)}
    assert "late" not in whys[2] and "clearly nearest" in whys[2]
    assert "turned: the detector is surer of it turned" in whys[3] and "covered" not in whys[3]
    assert "covered: an eye or the mouth is covered" in whys[6] and "turned" not in whys[6]


def test_every_face_is_gated(tmp_path, people):
    gate = QualityGate(min_width_px=1000)
    report = PeopleIdentifierModule(gate=gate).run(_database(tmp_path, people(2, 3)))
    assert (report.faces, report.gated, report.people) == (6, 6, 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_has_its_threshold(tmp_path, people, strategy):
    database = _database(tmp_path, people(3, 5, noise=0.2))
    assert PeopleIdentifierModule(strategy).run(database).people == 3


def test_an_onnx_embedder_has_a_threshold_that_is_a_guess_and_says_so(caplog):
    assert [face_threshold("onnx-0123456789ab", strategy) for strategy in STRATEGIES] == [0.4, 0.5, 0.5]
    assert "is a guess, 0.4: `pixelbrain evaluate --calibrate` finds its own" in caplog.messages[0]


def test_a_model_without_a_threshold_needs_one_given(tmp_path, people):
    database = _database(tmp_path, people(2, 4), model="mine")
    with pytest.raises(ConfigError, match="'mine'.*give threshold="):
        PeopleIdentifierModule().run(database)
    assert PeopleIdentifierModule(threshold=0.5).run(database).people == 2
    with pytest.raises(ConfigError, match="'mine'"):
        group_threshold("mine")
    with pytest.raises(ConfigError, match="one of average, dbscan, pairwise"):
        face_threshold("dlib", "kmeans")


@pytest.mark.parametrize(
    "settings", [{"strategy": "kmeans"}, {"threshold": 1.0}, {"min_faces": 0}, {"k": 0}], ids=lambda s: next(iter(s))
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError):
        PeopleIdentifierModule(**settings)

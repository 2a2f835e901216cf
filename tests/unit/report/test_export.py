import csv
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.answers.log import AnswerLog, AnswerMemory
from pixelbrain.report.export import export
from tests.unit.report.landed_rows import identity, image_row, labelled, with_faces

HOSTILE = 's3://bucket/a,"b"\n\r\';=1+1 😀 <i>.jpg'
GROUP = "file:///group.jpg"
TAKEN = "2024-05-01T12:34:56+02:00"
TABLES = ["images", "faces", "people", "groups", "answers", "duplicates", "lookalikes", "maps"]


@pytest.fixture
def landing(land):
    rows = [
        image_row(
            HOSTILE,
            resnet=labelled('tiger, "cat"', 0.93, "tabby"),
            facenet=with_faces(HOSTILE),
            colour={"red": 0.1},
            taken_at=TAKEN,
        ),
        image_row(
            GROUP,
            resnet=labelled("suit", 0.5),
            facenet=with_faces(GROUP, (1.5, 2, 30, 40), (50, 2, 60, 40), (70, 2, 80, 40), (90, 2, 99, 40)),
            colour={"red": float("nan"), "name": ""},
        ),
        image_row("file:///broken.jpg", status="failed", error_type="DecodeError", error="not an image\n(0 bytes)"),
    ]
    identities = [
        identity(GROUP, 0, "bob"), identity(GROUP, 1, "ada"), identity(GROUP, 2, None), identity(GROUP, 3, "bob"),
    ]  # fmt: skip
    groups = [
        {"image_id": HOSTILE, "group_id": "group-1", "distance": 0.2},
        {"image_id": GROUP, "group_id": None, "distance": None},
    ]
    return land(rows, identities, groups, modules=("resnet", "facenet", "colour"))


def read(file: Path) -> list[dict]:
    if file.suffix == ".csv":
        with open(file, encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text))
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    return pq.read_table(file).to_pylist()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_cameras_wrote_is_in_flat_columns(land, tmp_path: Path, suffix: str):
    said = {"taken_at": datetime(2024, 5, 1, 12, 34, 56, 250_000), "iso": 800, "keywords": ["sea", "boat"]}
    file = tmp_path / f"images{suffix}"
    assert export(land([image_row("file:///a.jpg", exif=said)], modules=("exif",)), file) == 1
    (row,) = read(file)
    assert (str(row["exif.taken_at"]), int(row["exif.iso"])) in [
        ("2024-05-01 12:34:56.250", 800), ("2024-05-01 12:34:56.250000", 800)
    ]  # fmt: skip
    assert row["exif.keywords"] == "sea;boat" and row["exif.latitude"] in (None, "")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_images_with_nulls(landing, tmp_path: Path, suffix: str):
    file = tmp_path / f"images{suffix}"
    assert export(landing, file) == 3
    rows = read(file)
    assert len(rows) == 3
    names = ["image_id", "status", "error", "label", "label_score", "n_faces", "identities"]
    names += ["path", "format", "width", "height", "bytes", "sha256", "taken_at", "labels", "group_id"]
    own = ["colour.red", "colour.name", "colour.error_type", "colour.error"]
    assert [list(row) for row in rows] == [names + own] * 3
    assert rows[0]["image_id"] == HOSTILE
    assert rows[0]["label"] == 'tiger, "cat"'
    assert rows[0]["label_score"] == pytest.approx(0.93)
    assert [row["n_faces"] for row in rows] == [0, 4, None]
    assert [row["identities"] for row in rows] == [None, "bob;ada", None]
    assert [row["error"] for row in rows] == [None, None, "not an image\n(0 bytes)"]
    assert [row["colour.name"] for row in rows] == [None, "", None]
    assert [row["path"] for row in rows] == [HOSTILE, "/group.jpg", "/broken.jpg"]
    assert [rows[0][name] for name in ("width", "height", "bytes", "taken_at")] == [80, 60, 1234, TAKEN]
    assert [row["labels"] for row in rows] == ['tiger, "cat";tabby', "suit", None]
    assert [row["group_id"] for row in rows] == ["group-1", None, None]


def test_images_in_csv(landing, tmp_path: Path):
    file = tmp_path / "images.CSV"
    assert export(landing, file) == 3
    rows = read(file.rename(tmp_path / "images.csv"))
    assert len(rows) == 3
    assert rows[0]["image_id"] == HOSTILE
    assert rows[0]["label_score"] == "0.93"
    assert rows[1]["identities"] == "bob;ada"
    assert (rows[2]["status"], rows[2]["error"], rows[2]["label"]) == ("failed", "not an image\n(0 bytes)", "")


def test_json_has_short_floats_and_no_nan(landing, tmp_path: Path):
    export(landing, tmp_path / "images.jsonl")
    text = (tmp_path / "images.jsonl").read_text(encoding="utf-8")
    assert '"label_score": 0.93,' in text
    assert "NaN" not in text
    assert "😀" in text


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_faces(landing, tmp_path: Path, suffix: str):
    file = tmp_path / f"faces{suffix}"
    assert export(landing, file, "faces") == 4
    rows = read(file)
    assert len(rows) == 4
    names = ["image_id", "face_id", "x1", "y1", "x2", "y2", "score", "identity_id"]
    names += ["path", "sharpness", "distance", "assigned"]
    assert [list(row) for row in rows] == [names] * 4
    assert rows[0]["path"] == "/group.jpg" and rows[0]["assigned"] == "clustered"
    unassigned = "" if suffix == ".csv" else None
    assert [row["identity_id"] for row in rows] == ["bob", "ada", unassigned, "bob"]
    assert {row["image_id"] for row in rows} == {GROUP}
    assert [float(rows[0][name]) for name in ("x1", "y1", "x2", "y2")] == [1.5, 2, 30, 40]


def test_a_question_called_like_another_column_keeps_its_answers(landing, tmp_path: Path):
    log, kinds = AnswerLog(landing.storage), {"path": pa.bool_(), "bytes": pa.string(), "names": pa.list_(pa.string())}
    memory = AnswerMemory(log, "one", kinds, dict.fromkeys(kinds, "q1"))
    for field, answer in {"path": True, "bytes": "few", "names": ["a", "b"]}.items():
        told = {"image_id": GROUP, "version": "1", "field": field, "question": "q1", "key": "k", "cost_usd": "0"}
        memory.journal(told | {"status": "ok", "answer": answer, "remembered": False, "model": "gpt"})
    memory.close()
    log.fold()
    landing.refresh()
    export(landing, tmp_path / "images.jsonl")
    row = next(row for row in read(tmp_path / "images.jsonl") if row["image_id"] == GROUP)
    assert (row["path"], row["bytes"]) == ("/group.jpg", 1234)
    assert (row["path.answer"], row["bytes.answer"], row["names.answer"]) == (True, "few", "a;b")


def test_people_groups_and_answers(landing, tmp_path: Path):
    log = AnswerLog(landing.storage)
    memory = AnswerMemory(log, "one", {"tags": pa.list_(pa.string())}, {"tags": "q1"})
    answer = {"image_id": GROUP, "version": "1", "field": "tags", "question": "q1", "key": "k", "cost_usd": "0"}
    memory.journal(answer | {"status": "ok", "answer": ["a", "b"], "remembered": False, "model": "gpt"})
    memory.close()
    log.fold()
    landing.refresh()
    found = {}
    for table in ("people", "groups", "answers"):
        export(landing, tmp_path / f"{table}.jsonl", table)
        found[table] = read(tmp_path / f"{table}.jsonl")
    where = {"image_id": GROUP, "path": "/group.jpg"}
    assert found["people"] == [
        {"identity_id": "bob", "n_faces": 2, "n_images": 1, "face_id": f"{GROUP}#0", **where},
        {"identity_id": "ada", "n_faces": 1, "n_images": 1, "face_id": f"{GROUP}#1", **where},
    ]
    assert found["groups"] == [{"group_id": "group-1", "image_id": HOSTILE, "path": HOSTILE, "distance": 0.2}]
    told = {"field": "tags", "answer": "a;b", "status": "ok", "model": "gpt", "error_type": None, "error": None}
    assert found["answers"] == [where | told]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("table", TABLES)
def test_nothing_landed_is_a_file_without_rows(land, tmp_path: Path, suffix: str, table: str):
    file = tmp_path / f"empty{suffix}"
    assert export(land([]), file, table) == 0
    assert read(file) == []
    if suffix == ".csv":
        assert "image_id," in file.read_text()


def test_without_modules_the_columns_are_there_and_null(land, tmp_path: Path):
    file = tmp_path / "images.parquet"
    assert export(land([image_row("file:///a.jpg")], modules=()), file) == 1
    assert pq.read_table(file).schema.field("n_faces").type == pa.int32()
    assert read(file)[0]["label"] is None
    assert export(land([image_row("file:///a.jpg")], modules=()), tmp_path / "faces.csv", "faces") == 0


def test_only_three_endings(landing, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"\.csv, \.jsonl, \.parquet"):
        export(landing, tmp_path / "images.xlsx")
    with pytest.raises(ConfigError, match="images, faces, people, groups, answers"):
        export(landing, tmp_path / "labels.csv", "labels")
    with pytest.raises(ConfigError, match="make it first"):
        export(landing, tmp_path / "nowhere" / "images.csv")


def test_the_file_is_replaced_whole_or_left_alone(landing, tmp_path: Path):
    folder = tmp_path / "exports"
    folder.mkdir()
    file = folder / "images.csv"
    file.write_text("of yesterday")
    part = landing.storage.local / landing.parts[0].name
    assert landing.count_images() == 3
    part.write_bytes(b"damaged since its ids were read")
    for table in ("images", "faces"):
        with pytest.raises(LandingError, match=part.name):
            export(landing, file, table)
    assert file.read_text() == "of yesterday"
    assert [path.name for path in folder.iterdir()] == ["images.csv"]


def test_a_label_that_is_not_likely_enough_is_null_and_its_score_stays(land, tmp_path):
    rows = [image_row(f"file:///{n}.jpg", resnet=labelled("cat", n / 10)) for n in range(1, 5)]
    landing, file = land([*rows, image_row("file:///9.jpg")]), tmp_path / "images.parquet"
    for least, sure in ((None, 1), (0.2, 3), (0.0, 4)):
        export(landing, file, min_label_score=least)
        found = read(file)
        assert [row["label"] for row in found] == [None] * (4 - sure) + ["cat"] * sure + [None]
        assert [row["label_score"] for row in found] == [*map(pytest.approx, (0.1, 0.2, 0.3, 0.4)), None]

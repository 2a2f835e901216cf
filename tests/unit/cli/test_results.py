"""`pixelbrain search` prints a table a query, with tabs; `export` says how many rows it wrote."""

from __future__ import annotations

import json

import click
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.report.tables import EXPORT_TABLES

FOUND = {
    "unit": "cosine distance, 0 to 2",
    "columns": ["distance", "identity_id", "face_id"],
    "queries": [{"title": "face at [1, 2]", "matches": [{"distance": 0.1, "identity_id": None, "face_id": "a#0"}]}],
}


def test_a_search_is_a_table_or_json(landed, monkeypatch):
    told = []
    monkeypatch.setattr(
        "pixelbrain.apps.photo_search.search_photo", lambda stages, *photo, **how: told.append((photo, how)) or FOUND
    )
    words = ["search", str(landed), "--image", "me.jpg", "--similar", "-k", "3"]
    result = CliRunner().invoke(cli, words)
    assert result.output == "face at [1, 2]\ndistance\tidentity_id\tface_id\n0.1\t\ta#0\n"
    how = {"by": "images", "k": 3, "embedder": None, "clip_model": None, "module": None, "where": None}
    assert told == [(("me.jpg",), how)]
    assert json.loads(CliRunner().invoke(cli, [*words, "--json"]).output) == FOUND


def test_a_search_is_by_one_thing(landed):
    for words in ([], ["--text", "a dog", "--person", "Ann"], ["--image", "a.jpg", "--text", ""]):
        result = CliRunner().invoke(cli, ["search", str(landed), *words])
        assert result.exit_code == 2 and "by one of --image PHOTO, --text WORDS and --person NAME" in result.output, (
            words
        )


def test_an_export_says_its_rows(landed, tmp_path):
    result = CliRunner().invoke(cli, ["export", str(landed), str(tmp_path / "images.jsonl")])
    assert result.output == f"7 images to {tmp_path / 'images.jsonl'}\n"
    assert len((tmp_path / "images.jsonl").read_text().splitlines()) == 7


def test_how_likely_a_label_has_to_be_is_told_once(landed, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        "pixelbrain.report.gallery.pages.build_gallery",
        lambda landing, *, min_label_score, **_: found.append(min_label_score) or tmp_path / "index.html",
    )
    monkeypatch.setattr(
        "pixelbrain.report.export.export",
        lambda landing, file, *, table, min_label_score, images: found.append(min_label_score) or 0,
    )
    for words in (["report", "--min-label-score", "0"], ["report"], ["export", str(tmp_path / "images.csv")]):
        result = CliRunner().invoke(cli, [words[0], str(landed), *words[1:]])
        assert result.exit_code == 0, result.output
    assert found == [0, 0, 0]
    result = CliRunner().invoke(cli, ["report", str(landed), "--min-label-score", "2"])
    assert result.exit_code == 2 and "min_label_score is 2.0: a probability, 0 to 1" in result.output


def test_an_export_to_standard_output_is_the_table_alone(landed, tmp_path):
    def exported(*more: str) -> bytes:
        result = CliRunner().invoke(cli, ["export", str(landed), "-", *more])
        assert result.exit_code == 0, result.output
        return result.stdout_bytes

    assert exported().startswith(b"image_id,status,") and exported().count(b"\n") == 8
    assert len([json.loads(line) for line in exported("--format", "jsonl").splitlines()]) == 7
    assert len(pq.read_table(pa.BufferReader(exported("--format", "parquet")))) == 7
    assert exported("--table", "people") == b"identity_id,n_faces,n_images,face_id,image_id,path\n"
    refused = CliRunner().invoke(cli, ["export", str(landed), "images.csv", "--format", "jsonl"])
    assert refused.exit_code == 2 and "the name of a file says its own" in refused.output


def test_the_tables_are_those_that_can_be_exported():
    (option,) = (one for one in cli.commands["export"].params if one.name == "table")
    assert isinstance(option.type, click.Choice) and list(option.type.choices) == list(EXPORT_TABLES)


def test_an_export_as_a_data_set(landed, tmp_path, photo_folder):
    def export(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, ["export", str(landed), *words])
        assert result.exit_code == code, result.output
        return result.output

    file, folder = tmp_path / "faces.json", tmp_path / "shards"
    assert export(str(file), "--format", "coco") == f"7 images to {file}, their files in {photo_folder}\n"
    found = json.loads(file.read_bytes())
    assert len(found["images"]) == 7 and not any(one["file_name"].startswith("/") for one in found["images"])
    export(str(file), "--format", "coco", "--root", str(photo_folder.parent))
    assert all(one["file_name"].startswith(f"{photo_folder.name}/") for one in json.loads(file.read_bytes())["images"])
    assert json.loads(export("-", "--format", "coco")) == found
    words = [str(folder), "--format", "webdataset"]
    assert export(*words) == f"7 photos in 1 tar files to {folder}\n"
    assert export(*words, "--shard-size", "1") == f"7 photos in 7 tar files to {folder}\n"
    gone = sorted(photo_folder.rglob("*.*"))[0]
    gone.unlink()
    (folder / "photos-000000.tar").unlink()
    said = export(*words)
    assert f"6 photos in 1 tar files to {folder}\n" in said and f"{gone.name}: FileNotFoundError" in said
    for wrong, why in (
        (["x.csv", "--format", "coco"], "its name must end in .json"),
        ([str(tmp_path / "nowhere" / "x.json"), "--format", "coco"], "make it first"),
        (["x.tar", "--format", "webdataset"], "name a folder or s3://bucket/prefix"),
        (["-", "--format", "webdataset"], "name a folder or s3://bucket/prefix"),
        ([*words, "--shard-size", "big"], "write 256MB, 1GB or 512MiB"),
        ([*words, "--root", "/"], "--root is for --format coco"),
        (["x.json", "--format", "coco", "--shard-size", "1GB"], "--shard-size is for --format webdataset"),
        (["x.json", "--format", "coco", "--table", "faces"], "--table is not for --format coco"),
        (["faces.json"], "--format coco"),
    ):
        assert why in export(*wrong, code=2)


def test_paths_of_a_table_go_to_a_file_or_to_standard_output(landed, tmp_path):
    told = CliRunner().invoke(cli, ["export", str(landed), "-", "--format", "paths"])
    paths = told.stdout.splitlines()
    assert told.exit_code == 0 and len(paths) == len(set(paths)) > 0 and not any('"' in one for one in paths)
    file = tmp_path / "paths.list"
    told = CliRunner().invoke(cli, ["export", str(landed), str(file), "--format", "paths0"])
    assert told.output == f"{len(paths)} paths to {file}\n" and file.read_text().split("\0")[:-1] == paths

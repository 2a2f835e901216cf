"""`pixelbrain search` prints a table a query, with tabs; `export` says how many rows it wrote."""

from __future__ import annotations

import json

from click.testing import CliRunner

from pixelbrain.cli.main import cli

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
    assert told == [(("me.jpg",), {"by": "images", "k": 3})]
    assert json.loads(CliRunner().invoke(cli, [*words, "--json"]).output) == FOUND


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
        lambda landing, file, *, table, min_label_score: found.append(min_label_score) or 0,
    )
    for words in (["report", "--min-label-score", "0"], ["report"], ["export", str(tmp_path / "images.csv")]):
        result = CliRunner().invoke(cli, [words[0], str(landed), *words[1:]])
        assert result.exit_code == 0, result.output
    assert found == [0, 0, 0]
    result = CliRunner().invoke(cli, ["report", str(landed), "--min-label-score", "2"])
    assert result.exit_code == 2 and "min_label_score is 2.0: a probability, 0 to 1" in result.output

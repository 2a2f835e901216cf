"""OUT is not listed, whatever it is called, nor is another run's; SOURCE inside OUT is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixelbrain.errors import SourceError
from pixelbrain.report.gallery.site import claim
from pixelbrain.sources import open_source
from pixelbrain.storage.file_uri import path_to_uri, uri_to_path
from pixelbrain.storage.open import open_storage


def listed(source: Path | str, *outs: str) -> tuple[list[str], dict[str, int]]:
    """The names of what is listed, and what was passed over."""
    opened = open_source(str(source), outs=outs)
    ids = [image_id for table in opened.list_images() for image_id in table["image_id"].to_pylist()]
    return [os.path.relpath(uri_to_path(one), Path(source).parent) for one in ids], dict(opened.passed_over)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two photos, and an OUT among them that nobody but its run knows."""
    folder = tmp_path / "photos"
    for name in ("a.jpg", "z/b.jpg", "out/report/thumbs/1.jpg", "out/stray.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


SPELLINGS = {
    "plain": "{0}/photos/out",
    "slash": "{0}/photos/out/",
    "dots": "{0}/photos/z/../out/.",
    "doubled": "/{0}//photos//out",
    "link": "{0}/link",
    "linked parent": "{0}/photos-link/out",
    "uri": "file://{0}/photos/out",
    "host": "file://localhost{0}/photos/out/",
    "java": "file:{0}/photos/out",
    "relative": "photos/out",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_an_out_inside_source_is_not_listed(photos, tmp_path, spelling, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(photos / "out")
    (tmp_path / "photos-link").symlink_to(photos)
    out = open_storage(spelling.format(tmp_path)).uri
    both = ["photos/a.jpg", "photos/z/b.jpg"]
    assert listed(photos, out) == (both, {"folder of results": 1})
    assert len(listed(photos)[0]) == 4  # of which nobody said that it is one
    monkeypatch.chdir(photos)
    assert len(listed(".", out)[0]) == 2


def test_nor_by_links_and_lists_that_lead_into_it(photos, tmp_path):
    out = tmp_path / "elsewhere"
    (photos / "out").rename(out)
    (photos / "pictures").symlink_to(out / "report" / "thumbs")
    (photos / "c.jpg").symlink_to(out / "report" / "thumbs" / "1.jpg")
    names, passed = listed(photos, str(out))
    assert names == ["photos/a.jpg", "photos/z/b.jpg"] and passed == {"folder of results": 1, "file of results": 1}
    (photos / "list.txt").write_text(f"a.jpg\nc.jpg\npictures/1.jpg\n{out}/stray.jpg\ns3://b/out/1.jpg\n")
    names, passed = listed(photos / "list.txt", str(out), "s3://b/out")
    assert names == ["a.jpg"] and passed == {"file of results": 4}


def test_another_runs_out_is_not_listed(photos):
    (photos / "out" / "images").mkdir()
    (photos / "out" / "run.json").write_text("{}")
    assert len(listed(photos)[0]) == 4
    (photos / "out" / "images" / "part-000001-00000000-000.parquet").touch()
    assert listed(photos) == (["photos/a.jpg", "photos/z/b.jpg"], {"folder of results": 1})
    with pytest.raises(SourceError, match="holds the results of a run: name the photos' own folder"):
        listed(photos / "out")


def test_nor_is_a_gallery_wherever_it_is(photos):
    (photos / "out").rename(photos / "site")  # a copy, without anything else of its OUT
    claim(photos / "new")
    os.replace(photos / "new" / ".pixelbrain-report", photos / "site" / "report" / ".pixelbrain-report")
    names, passed = listed(photos)
    assert "photos/site/report/thumbs/1.jpg" not in names and passed == {"folder of results": 1}
    for inside in ("site/report", "site/report/thumbs", "site/report/thumbs/1.jpg"):
        with pytest.raises(SourceError, match="holds the results of a run: name the photos' own folder"):
            listed(photos / inside)


@pytest.mark.parametrize("source", ["photos", "photos/z", "photos/a.jpg", "photos-link/z"])
def test_a_source_inside_out_is_refused(photos, tmp_path, source):
    (tmp_path / "photos-link").symlink_to(photos)
    with pytest.raises(SourceError, match="is in OUT, of which nothing is listed: name another folder"):
        listed(tmp_path / source, path_to_uri(str(photos)).removeprefix("file://"))


@pytest.mark.parametrize("source", ["s3://b/out", "s3://b/out/", "s3://b/out/report/1.jpg"])
def test_so_it_is_in_s3_before_anything_is_asked(source):
    with pytest.raises(SourceError, match="is in OUT"):
        open_source(source, outs=["s3://b/out"]).list_images()

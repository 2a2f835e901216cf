"""The pages as text; tests/integration/opened/test_gallery.py opens them in a browser."""

import html
import os
import re
import time
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.derived import DUPLICATES
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery.pages import build_gallery
from pixelbrain.report.gallery.site import Site
from pixelbrain.sources.local import uri_to_path
from pixelbrain.storage.s3_client import forget_s3_clients
from tests.unit.report.landed_rows import identity, image_row, labelled, with_faces

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "\"'><svg onload=alert(1)>.jpg",
    "line\nbreak.jpg",
    "100% #1?a=b&c.jpg",
    "😀 日本.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "&lt;b&gt;.jpg",
    "n" * 200 + ".jpg",
]


def pages(report: Path) -> list[Path]:
    return sorted(report.rglob("*.html"))


def attributes(text: str, name: str) -> list[str]:
    return [html.unescape(value) for value in re.findall(rf'\s{name}="([^"]*)"', text)]


@pytest.fixture
def hostile(land, photo_file):
    """Photos of hostile names, each with a face, a person, a label and a group of a hostile name."""
    ids = [photo_file(name) for name in HOSTILE]
    rows = [
        image_row(
            image_id,
            resnet=labelled(f"<i>{n % 2}</i>", 0.9),
            facenet=with_faces(image_id, (10, 10, 30, 30), (50, 10, 70, 30)),
            colour={"red": 1.0, "name": "<script>alert(1)</script>"},
        )
        for n, image_id in enumerate(ids)
    ]
    rows.append(
        image_row(
            "file:///x/<b>gone</b>.jpg", status="failed", error_type="<i>Error", error="<script>alert(2)</script>"
        )
    )
    identities = [identity(i, 0, "../<script>\"'&") for i in ids] + [identity(i, 1, None) for i in ids]
    groups = [{"image_id": image_id, "group_id": "<g>", "distance": 0.1} for image_id in ids]
    landing = land(rows, identities, groups, modules=("resnet", "facenet", "colour"))
    copies = [{"image_id": one, "duplicate_id": "<d>", "keep": False, "copy_of": ids[0], "why": "<u>"} for one in ids]
    copies[0] |= {"keep": True, "copy_of": None, "why": "<b>the best</b>"}
    columns = pa.schema(list(schema.DUPLICATE_SCHEMA)[: -len(schema.ORIGIN_FIELDS)])
    DUPLICATES.write(landing, pa.Table.from_pylist(copies, columns))
    return landing


def test_duplicates_are_shown_and_the_one_to_keep_is_first(hostile):
    index = build_gallery(hostile)
    text = (index.parent / "duplicates" / "index.html").read_text(encoding="utf-8")
    notes = re.findall(r'<span class="note" title="([^"]*)">(\w+)</span>', text)
    assert notes[0] == ("&lt;b&gt;the best&lt;/b&gt;", "keep")
    assert re.search(r"photos: keep [^<]+, &lt;b&gt;the best&lt;/b&gt;</h2>", text)
    assert notes[1:] == [("&lt;u&gt;", "drop")] * (min(len(HOSTILE), 12) - 1)
    assert "duplicates/index.html" in index.read_text(encoding="utf-8")


def test_hostile_names_are_text(hostile):
    index = build_gallery(hostile, run={"stages": {"<script>": {"seconds": 1}}, "settings": {"source": "/a/<u>b</u>"}})
    assert len(pages(index.parent)) > 6
    for page in pages(index.parent):
        text = page.read_text(encoding="utf-8")
        tags = set(re.findall(r"<([a-z0-9]+)", text))
        assert not tags & {"script", "i", "b", "u", "g", "style", "iframe"}, page
        assert not re.search(r"<[^>]*\son[a-z]+=", re.sub(r'"[^"]*"', '""', text)), page  # no handler in any tag
        assert 'style="' not in text, page
    photos = (index.parent / "photos" / "index.html").read_text(encoding="utf-8")
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in photos
    assert "&amp;lt;b&amp;gt;.jpg" in photos
    assert "line␊break.jpg" in photos
    assert "{{ 7 * 7 }}{% raw %}.jpg" in photos


def test_every_link_leads_to_a_file_and_every_original_is_linked(hostile):
    index = build_gallery(hostile)
    originals = set()
    for page in pages(index.parent):
        text = page.read_text(encoding="utf-8")
        links = attributes(text, "href") + attributes(text, "src")
        assert len(links) > 4
        for link in links:
            if link.startswith("file:"):
                originals.add(unquote(urlsplit(link).path))
                assert not urlsplit(link).query and not urlsplit(link).fragment
                continue
            assert urlsplit(link).scheme == ""
            target = urlsplit(urljoin(page.as_uri(), link))
            assert os.path.isfile(unquote(target.path)), f"{page.name} links to {link}"
    written = {uri_to_path(row) for row in hostile.index.image_id.to_pylist() if "gone" not in row}
    assert len(written) == len(HOSTILE)
    assert written < originals


def test_no_page_names_a_host_or_a_script(hostile):
    index = build_gallery(hostile)
    for file in index.parent.rglob("*.*"):
        if file.suffix in (".html", ".css"):
            assert not re.search(r"(src|href)=\"(https?:)?//|url\(|@import|<script", file.read_text(encoding="utf-8"))
    assert "default-src 'none'" in index.read_text(encoding="utf-8")
    assert not list(index.parent.rglob("*.js"))


def test_long_lists_have_pages_and_the_index_stays_small(land):
    ids = [f"file:///gone/{n:04d}.jpg" for n in range(450)]
    rows = [
        image_row(
            image_id, resnet=labelled(f"label {n}", 0.5), facenet=with_faces(image_id, (1, 1, 9, 9), (9, 9, 20, 20))
        )
        for n, image_id in enumerate(ids)
    ]
    identities = [identity(image_id, 0, f"person-{n}") for n, image_id in enumerate(ids)]
    rows += [image_row(f"file:///gone/bad{n}", status="failed", error_type="E", error="") for n in range(600)]
    report = build_gallery(land(rows, identities)).parent
    for folder, count in (
        ("photos", 3),
        ("people", 3 + 450),
        ("labels", 3 + 450),
        ("faces-unassigned", 1),
        ("failures", 2),
    ):
        assert len(list((report / folder).glob("*.html"))) == count, folder
    names = {
        found
        for page in (report / "photos").glob("*.html")
        for found in re.findall(r'<bdi class="name"[^>]*>([^<]*)', page.read_text(encoding="utf-8"))
    }
    assert names == {f"{n:04d}.jpg" for n in range(450)}
    index = (report / "index.html").read_text(encoding="utf-8")
    assert index.count("<") < 3000
    assert 'data-figure="people"><a href="people/index.html">450</a>' in index


def test_a_rerun_replaces_pages_and_keeps_thumbnails(land, photo_file):
    first, second = photo_file("first.jpg"), photo_file("second.jpg")
    rows = [image_row(i, resnet=labelled(name, 0.5)) for i, name in ((first, "cat"), (second, "dog"))]
    report = build_gallery(land(rows)).parent
    before = {path: path.stat().st_mtime_ns for path in report.rglob("*.jpg")}
    assert (len(before), len(list((report / "labels").glob("*.html")))) == (2, 3)
    time.sleep(0.01)
    calls = []
    rows[1]["resnet"] = labelled("cat", 0.4)
    assert build_gallery(land(rows), progress=lambda *call: calls.append(call)).parent == report
    assert {path: path.stat().st_mtime_ns for path in report.rglob("*.jpg")} == before
    assert len(list((report / "labels").glob("*.html"))) == 2
    assert calls == [(2, 2)]


def test_a_photo_that_is_gone_has_a_placeholder(land, photo_file, caplog: pytest.LogCaptureFixture):
    image_id = photo_file("a.jpg")
    landing = land([image_row(image_id, facenet=with_faces(image_id, (1, 1, 20, 20)))], [identity(image_id, 0, "ada")])
    os.unlink(uri_to_path(image_id))
    index = build_gallery(landing)
    assert 'src="assets/placeholder.svg"' in index.read_text(encoding="utf-8")
    assert "2 thumbnails could not be made" in caplog.text


def test_photos_in_a_bucket_without_credentials_are_shown_without_links(land, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_s3_clients()  # where another test of this process had some, nobody's server would be tried for half a minute
    index = build_gallery(land([image_row("s3://bucket/a b#1.jpg")]), s3_endpoint="http://127.0.0.1:9")
    text = index.read_text(encoding="utf-8")
    assert 'href="s3:' not in text
    assert 'title="s3://bucket/a b#1.jpg"' in text
    assert "placeholder.svg" in text


@pytest.mark.parametrize(
    ("case", "present", "absent"),
    [
        ("nothing", ["Nothing here yet"], ['id="people"', 'id="photos"', 'id="failures"']),
        ("only failures", ['id="failures"', ">1</a></dd>"], ['id="people"', 'id="photos"', 'id="labels"']),
        ("no modules", ['id="photos"'], ['id="people"', 'id="labels"', 'id="unassigned"', 'id="failures"']),
        ("no faces", ["No face was found"], ['id="unassigned"', "people/index.html"]),
        ("not identified", ["pixelbrain identify", 'id="unassigned"'], ["people/index.html"]),
        ("nobody twice", ["nobody was recognised twice", 'id="unassigned"'], ["people/index.html"]),
    ],
)
def test_empty_states(land, photo_file, case: str, present: list[str], absent: list[str]):
    image_id = photo_file("a.jpg")
    face = with_faces(image_id, (1, 1, 20, 20))
    landing = {
        "nothing": lambda: land([]),
        "only failures": lambda: land([image_row(image_id, status="failed", error_type="ReadError", error="gone")]),
        "no modules": lambda: land([image_row(image_id)], modules=()),
        "no faces": lambda: land([image_row(image_id, facenet=with_faces(image_id))], []),
        "not identified": lambda: land([image_row(image_id, facenet=face)]),
        "nobody twice": lambda: land([image_row(image_id, facenet=face)], [identity(image_id, 0, None)]),
    }[case]()
    text = build_gallery(landing).read_text(encoding="utf-8")
    assert [part for part in present if part not in text] == []
    assert [part for part in absent if part in text] == []


def test_figures_of_the_run(land, photo_file):
    run = {
        "settings": {"source": "/home/ada/Holiday 2026/"},
        "stages": {
            "extract": {"seconds": 12.5, "images_per_s": 8.04, "finished": "2026-11-20T14:05:00+00:00"},
            "load": {"seconds": 0.5, "images": 30, "finished": "2026-11-20T14:06:00+00:00"},
            "report": {"seconds": 77.0, "finished": "2026-11-19T10:00:00+00:00"},
        },
    }
    text = build_gallery(land([image_row(photo_file("a.jpg"))]), run=run).read_text(encoding="utf-8")
    assert "<h1><bdi>Holiday 2026</bdi></h1>" in text
    assert "8.04" in text
    assert ">60<" in text  # images/s of the load
    assert "1 min 17 s" not in text  # an earlier report's
    assert "resnet50" in text
    assert '<time datetime="2026-11-20T14:06:00+00:00">20 November 2026, 14:06 UTC</time>' in text


@pytest.mark.parametrize(
    "run",
    [
        None,
        {},
        {"stages": {"extract": {"seconds": None, "finished": "yesterday"}}, "settings": None},
        {"stages": ["extract"], "settings": {"source": "."}},
    ],
)
def test_a_run_that_tells_little(land, photo_file, run):
    text = build_gallery(land([image_row(photo_file("a.jpg"))]), run=run).read_text(encoding="utf-8")
    assert "<h1><bdi>photos</bdi></h1>" in text  # the folder that the photos are in


def test_a_folder_of_the_users_is_left_alone(land, photo_file, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("dear diary")
    with pytest.raises(ConfigError, match="is not a report"):
        build_gallery(land([image_row(photo_file("a.jpg"))]), out=mine)
    assert [path.name for path in mine.iterdir()] == ["diary.txt"]


def test_a_report_that_cannot_be_written_is_one_line(land, photo_file, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LandingError, match="cannot write the gallery to"):
        build_gallery(land([image_row(photo_file("a.jpg"))]), out=tmp_path / "file" / "report")


def stamps(report: Path) -> dict[str, int]:
    return {path.relative_to(report).as_posix(): path.stat().st_mtime_ns for path in report.rglob("*.*")}


def test_of_what_is_as_it_was_nothing_is_read_or_written(land, photo_file, monkeypatch: pytest.MonkeyPatch):
    rows = [image_row(photo_file("a.jpg"), resnet=labelled("cat", 0.5))]
    report = build_gallery(land(rows)).parent
    before = stamps(report)
    with monkeypatch.context() as patched:
        patched.setattr(Landing, "iter_images", None)
        build_gallery(Landing(report.parent), run={"stages": {"load": {"finished": "2026-11-20T14:05:00+00:00"}}})
    assert stamps(report) == before
    landing = land(rows, groups=[])  # something new
    build_gallery(landing)
    assert stamps(report)["index.html"] > before["index.html"]


def test_pages_that_would_be_the_same_stay(land):
    rows = [image_row(f"file:///gone/{n:04d}.jpg", resnet=labelled(f"label {n % 3}", 0.5)) for n in range(1500)]
    who = [identity("file:///gone/0000.jpg", 0, "person-0123456789"), identity("file:///gone/0001.jpg", 0, "bob")]
    for n in (0, 1):
        rows[n]["facenet"] = with_faces(rows[n]["image_id"], (1, 1, 20, 20))
    report = build_gallery(land(rows, who)).parent
    before = stamps(report)
    rows.append(image_row("file:///gone/9999.jpg", resnet=labelled("label 2", 0.5)))
    build_gallery(land(rows, who))
    written = {path for path, stamp in stamps(report).items() if stamp != before.get(path) and path.endswith("html")}
    labels = {path for path in written if path.startswith("labels/label-2")}
    tiles = {"index.html", "labels/index.html"}
    assert written == labels | tiles | {"photos/index.html", "photos/index-8.html"}  # how many there are; the last page
    assert len(labels) == 2  # of three

    who[1]["identity_id"] = "ada"
    before = stamps(report)
    build_gallery(land(rows, who))
    written = {path for path, stamp in stamps(report).items() if stamp != before.get(path) and path.endswith("html")}
    assert "photos/index.html" in written  # her photo's card names her
    assert not any(path.startswith(("photos/index-", "labels/label-2")) for path in written)


def test_a_report_that_was_cut_short_is_written_anew(land, photo_file, monkeypatch: pytest.MonkeyPatch):
    rows = [image_row(photo_file("a.jpg"), resnet=labelled("cat", 0.5))]
    report = build_gallery(land(rows)).parent
    with monkeypatch.context() as patched:
        patched.setattr(Site, "finish", None)
        with pytest.raises(TypeError):
            build_gallery(land(rows, groups=[]))
    before = stamps(report)
    (report / "photos" / "index.html").write_text("torn")
    build_gallery(land(rows))
    assert "a.jpg" in (report / "photos" / "index.html").read_text(encoding="utf-8")
    assert stamps(report)["photos/index.html"] > before["photos/index.html"]


def test_labels_show_how_likely_they_are_and_the_unsure_come_last(land, photo_file):
    scores = {"a": 0.9, "b": 0.6, "c": 0.3, "d": 0.2}
    rows = [image_row(photo_file(f"{name}.jpg"), resnet=labelled("cat", score)) for name, score in scores.items()]
    index = build_gallery(land(rows))
    text = " ".join(index.read_text(encoding="utf-8").split())
    tiles = re.findall(r'href="(labels/[^"]*)" title="([^"]*)".*?<span class="note">([^<]*)</span>', text)
    assert [tile[1:] for tile in tiles[:2]] == [("cat", "2 photos, 60–90 %"), ("Unsure", "2 photos, 20–30 %")]
    assert "Labels of 35 % and more; 2 photos less sure." in text
    assert [name.split(".")[0] for name in re.findall(r'class="name" title="[^"]*">([^<]*)<', text)] == list("abcd")
    assert re.findall(r'<span class="note">((?:cat|unsure)[^<]*)<', text) == [
        "cat 90 %",
        "cat 60 %",
        "unsure",
        "unsure",
    ]
    assert text.count(': cat"') == 2  # a label that is not sure is no picture's description
    unsure = (index.parent / tiles[1][0]).read_text(encoding="utf-8")
    assert (
        "<bdi>Unsure</bdi>" in unsure
        and 'title="cat 30%"' in unsure
        and ">d.jpg<" in unsure
        and ">a.jpg<" not in unsure
    )
    assert 'title="Unsure"' in (index.parent / "labels" / "index.html").read_text(encoding="utf-8")

    index = build_gallery(land(rows), min_label_score=0)
    assert ">unsure<" not in index.read_text(encoding="utf-8").lower() and not (index.parent / tiles[1][0]).exists()

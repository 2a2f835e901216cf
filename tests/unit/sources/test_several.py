"""Several sources are one, globs mean what a shell would make of them, and an image counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError, SourceError, SourceGoneError
from pixelbrain.images.loader import DataLoader
from pixelbrain.sources import name_sources, open_source
from pixelbrain.sources.globs import Glob, expand_braces, is_glob
from pixelbrain.sources.local import path_to_uri, uri_to_path
from pixelbrain.sources.s3 import S3Source


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch) -> Path:
    for name in ("a/1.jpg", "a/x/2.jpg", "a/x/3.JPG", "a/.hidden/4.jpg", "ab/5.png", "b/6.jpg", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(source, **how) -> list[str]:
    tables = open_source(source, **how).list_images()
    ids = [one for table in tables for one in table["image_id"].to_pylist()]
    return [str(Path(uri_to_path(one)).relative_to(Path.cwd())) for one in ids]


@pytest.mark.parametrize(
    ("pattern", "names"),
    {
        "a/*.jpg": ["a/1.jpg"],
        "a/**/*.jpg": ["a/1.jpg", "a/x/2.jpg"],
        "**/[23].*": ["a/x/2.jpg", "a/x/3.JPG"],
        "a*": ["a/1.jpg", "a/x/2.jpg", "a/x/3.JPG", "ab/5.png"],  # folders are searched
        "a/*/": ["a/x/2.jpg", "a/x/3.JPG"],
        "?/[!1].jpg": ["b/6.jpg"],
        "b/*": ["b/6.jpg"],
        "a/**": ["a/1.jpg", "a/x/2.jpg", "a/x/3.JPG"],
        "c*/**": [],
    }.items(),
)
def test_globs(pattern, names, tree):
    source = open_source(pattern)
    assert listed(pattern) == names
    every = [path for path in tree.rglob("*.*") if path.is_file() and path.suffix != ".txt"]
    covered = sorted(str(path.relative_to(tree)) for path in every if source.covers(path_to_uri(str(path))))
    assert [name for name in covered if ".hidden" not in name] == names


def test_a_glob_is_not_what_is_called_so(tree):
    (tree / "[1].jpg").touch()
    assert listed("[1].jpg") == ["[1].jpg"]
    assert not is_glob("s3://bucket/what? [2026]/") and is_glob("s3://bucket/*/a.jpg")
    glob = Glob("s3://bucket/in/2026-*/a?/*.jpg")
    assert (glob.base, glob.literal) == ("s3://bucket/in/", "s3://bucket/in/2026-")
    assert open_source("s3://bucket/in/2026-*/*.jpg").covers("s3://bucket/in/2026-01/a.jpg")
    assert not open_source("s3://bucket/in/2026-*/*.jpg").covers("s3://bucket/in/2025-01/a.jpg")


@pytest.mark.parametrize(
    ("place", "names"),
    {
        "s3://b/train-{000008..000010}.tar": [f"s3://b/train-{n}.tar" for n in ("000008", "000009", "000010")],
        "{3..1}": ["3", "2", "1"],
        "{9..10}": ["9", "10"],
        "{cats,dogs}/{1..2}.jpg": ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg", "dogs/2.jpg"],
        "{a,{b,c}}": ["a", "b", "c"],
        "a{,b}": ["a", "ab"],
        "s3://b/{id}/{}": ["s3://b/{id}/{}"],
        "{1..2}.jpg": ["1.jpg", "2.jpg"],
    }.items(),
)
def test_braces(place, names):
    assert sorted(expand_braces(place)) == sorted(names) and len(expand_braces(place)) == len(names)


def test_braces_are_several_sources(tree):
    assert listed("a/x/{2.jpg,3.JPG}") == ["a/x/2.jpg", "a/x/3.JPG"] and listed("{b,a}/*.jpg") == ["b/6.jpg", "a/1.jpg"]
    (tree / "{a,b}").mkdir()
    assert listed("{a,b}") == []  # a folder of this name
    with pytest.raises(SourceError, match="the braces in .* mean more than 100,000 names"):
        open_source("{1..1000}/{1..1000}.tar")


def test_a_loader_is_of_the_folder_in_which_it_was_made(tree, monkeypatch):
    """Also where the folder's name looks like a glob."""
    (tree / "[now]").mkdir()
    (tree / "[now]" / "7.jpg").touch()
    (tree / "[now]" / "list.txt").write_text("7.jpg")
    monkeypatch.chdir(tree / "[now]")
    loaders = [DataLoader(one) for one in ("*.jpg", "7.jpg", ["7.jpg", "*.jpg"], ".", "list.txt", "{7,8}.jpg")]
    monkeypatch.chdir(tree)
    for loader in loaders:
        found = [one for made in (loader, loader.clone(limit=1)) for one in made.list_images()]
        assert [table["image_id"].to_pylist() for table in found] == [
            [path_to_uri(f"{tree}/[now]/7.jpg")] if "{" not in loader.source else
            [path_to_uri(f"{tree}/[now]/{n}.jpg") for n in ("7", "8")][:length]
            for length in (2, 1)
        ]  # fmt: skip
    assert repr(loaders[0]) == "DataLoader(source='*.jpg')"


def test_several_are_listed_in_their_order_and_an_image_once(tree):
    assert listed(["b", "a/x/", "a", "a/1.jpg"]) == ["b/6.jpg", "a/x/2.jpg", "a/x/3.JPG", "a/1.jpg"]
    source = open_source(["b", "a/x", "a"])
    assert sum(map(len, source.list_images())) == 4
    assert source.passed_over == {"entry that stands twice": 2, ".txt": 1, "hidden folder": 1}
    assert source.covers(path_to_uri(f"{tree}/b/gone.jpg")) and not source.covers(path_to_uri(f"{tree}/ab/5.png"))
    assert source.lists_read_versions and source.what == "3 times a folder on this disk"
    (tree / "list.txt").write_text("ab/5.png\n")
    assert not open_source(["a", "list.txt"]).lists_read_versions
    kinds = ["a/*.jpg", "s3://b/k", "gs://b/*.jpg", "list.txt", "a/1.jpg", "*.tar"]
    assert open_source(kinds).what == (
        "a glob on this disk; a prefix in S3; a glob in Google Cloud Storage; a list file; images by their names; "
        "images in archives: a glob on this disk"
    )


def test_an_empty_folder_says_nothing_of_what_is_gone(tree):
    """It may be a disk that is not mounted."""
    (tree / "mnt").mkdir()
    loader = DataLoader(["a", "mnt"])
    list(loader.list_images())
    assert loader.covers(path_to_uri(f"{tree}/a/gone.jpg")) and not loader.covers(path_to_uri(f"{tree}/mnt/there.jpg"))


def test_paths_of_images_are_a_list(tree):
    """A missing one is a row; what is in OUT is none."""
    loader = DataLoader(["a/1.jpg", tree / "absent.jpg", Path("a/x/2.jpg"), "./a/1.jpg", "ab"])
    loader.leave_out(str(tree / "a" / "x"))
    [table] = loader.list_images()
    assert table["image_id"].to_pylist() == [path_to_uri(f"{tree}/{n}") for n in ("a/1.jpg", "absent.jpg", "ab/5.png")]
    assert loader.passed_over == {"file of results": 1, "entry that stands twice": 1}
    [batch] = loader.batches()
    assert len(batch.failures) == 3  # they are empty
    assert repr(DataLoader(["a", "b"])) == "DataLoader(source=['a', 'b'])"


def test_what_is_not_there():
    with pytest.raises(SourceError, match="no such file or folder: .*/nope; the other sources are there") as caught:
        listed(["a", "nope"])
    assert not isinstance(caught.value, SourceGoneError)  # or --prune-gone-source would remove what is there
    with pytest.raises(SourceGoneError):
        listed(["nope", "neither"])
    with pytest.raises(SourceGoneError, match="nothing is called like no/.*.csv"):
        listed("no/*.csv")
    with pytest.raises(SourceError, match="no list among the sources has a column 'url'"):
        listed("a", column="url")


def test_lists_by_a_glob_with_a_named_column(tree):
    (tree / "1.csv").write_text("photo,uri\na/1.jpg,b/6.jpg\n")
    (tree / "2.csv").write_text("photo\na/x/2.jpg\n")
    assert listed("*.csv", column="photo") == ["a/1.jpg", "a/x/2.jpg"]


def test_settings():
    assert RunConfig(source=["a"]).source == "a" and RunConfig(source=["a", "b"]).source == ("a", "b")
    assert RunConfig(source=["a", "b"]).as_dict()["source"] == ["a", "b"]
    for nothing in ([""], [1], 5):
        with pytest.raises(ConfigError, match="source"):
            RunConfig(source=nothing)
    named = {"abcd": "abcd", ("a", "b"): "a and b", ("a", "b", "c"): "a, b and c"}
    assert [name_sources(one) for one in named] == list(named.values())
    assert name_sources(tuple("abcde")) == "a, b and 3 more"
    assert isinstance(open_source(["s3://b/k.jpg"]), S3Source)  # whose version is looked for

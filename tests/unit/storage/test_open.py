"""OUT names a folder or a prefix in S3, and one is never taken for the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelbrain.errors import LandingError
from pixelbrain.storage.open import open_storage


@pytest.mark.parametrize("out", ["s3:/bucket/out", Path("s3://bucket/out"), "S3://bucket/out", "s3://", "s3:///out"])
def test_what_was_meant_for_s3_never_becomes_a_folder(out):
    with pytest.raises(LandingError, match="s3://bucket/prefix"):
        open_storage(out)


@pytest.mark.parametrize("out", ["gs://b/out", Path("gs://b/out"), "HTTPS://x/out", "s3a://b/out", "az:/b"])
def test_nor_does_what_is_nowhere_written(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LandingError, match="it cannot be, name a folder or s3://bucket/prefix"):
        open_storage(out)
    (tmp_path / str(out).partition("/")[0]).mkdir()  # as of an older version
    assert open_storage(out).is_local


@pytest.mark.parametrize("out", ["file:///a%20b/out", "file://localhost/a%20b/out/", "File:/a b/out"])
def test_the_uri_of_a_folder_is_that_folder(out):
    assert open_storage(out).uri == "/a b/out"


def test_an_out_in_s3_has_a_folder_of_its_own_for_what_needs_a_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000/")
    storage = open_storage("s3://bucket/a b/out/")
    assert storage.uri == "s3://bucket/a b/out" and not storage.is_local
    assert storage.local.parent == tmp_path / "pixelbrain" / "out" and storage.local.name.startswith("bucket-a-b-out-")
    assert open_storage("s3://bucket/a b/out", s3_endpoint="http://localhost:9000").local == storage.local
    others = [
        open_storage("s3://bucket/a b/out", s3_endpoint="http://localhost:9001"),
        open_storage("s3://bucket/a-b/out"),
        open_storage("s3://bucket/"),
    ]
    assert len({storage.local, *(other.local for other in others)}) == 4 and others[2].uri == "s3://bucket"
    assert not storage.local.exists()


def test_an_endpoint_with_a_password_is_refused_without_it():
    with pytest.raises(LandingError) as caught:
        open_storage("s3://bucket/out", s3_endpoint="http://key:hunter2@localhost:9000")
    assert "hunter2" not in str(caught.value)

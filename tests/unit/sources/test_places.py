"""What is no source is known by its name or its first bytes, and what to do is said in a line, before any work."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixelbrain as pb
from pixelbrain.cli.main import cli
from pixelbrain.errors import SourceError
from pixelbrain.sources import open_source
from pixelbrain.sources.local import LocalSource
from pixelbrain.sources.s3 import S3Source

ELSEWHERE = {
    "hdfs://host/photos": "hdfs:// is not read: SOURCE is a folder",
    "HDFS://host/list.csv": "hdfs:// is not read",
    "GS://bucket/list.csv": "a list file is read from disk: copy gs://bucket/list.csv here",
    "az://c/p.zip": "is an archive: unpack it",
    "abfss://c@a.dfs.core.windows.net/p": "abfss:// is not read",
    "https://me:secret@host/a.jpg": "no user or password goes into a URL of host",
    "https:///a.jpg": "no host is in this one",
    "https://host/a.zip?x=1": "is an archive: unpack it",
    "https://host/list.csv": "a list or an archive is read from a disk or S3: copy https://host/list.csv here",
    "HTTP://host/shard.tar": "a list or an archive is read from a disk or S3",
    "s3:/bucket/prefix": "one slash is missing: write s3://bucket/prefix",
    str(Path("gs://bucket/photos")): "one slash is missing: write gs://bucket/prefix",
    "file://server/photos": "of another machine: this one's are file:///path",
    "s3://bucket/photos.tar.gz": "is an archive that is compressed, and no part of it can be read by itself: unpack it",
    "s3://bucket/photos.zip": "is an archive: unpack it",
    "S3://bucket/list.TSV": "a list file is read from disk: copy s3://bucket/list.TSV here",
    "S3://bucket/list.csv": "a list file is read from disk: copy s3://bucket/list.csv here",
}
FILES = {
    "a.zip": "is an archive: unpack it, and name the folder",
    "a.TAR.GZ": "is an archive",
    "a.xlsx": "is a list of a kind that is not read: a list is a .txt",
    "a.json": "is a list of a kind",
    "a.mov": "is a film",
    "a.CR2": "is a camera's raw file",
    "a.pdf": "is no image by its first bytes, and no list by its name: name a folder, an image, a list",
    "noname": "is no image by its first bytes",
}


@pytest.mark.parametrize("source", ELSEWHERE)
def test_other_places(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        open_source(source)
    assert ELSEWHERE[source] in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_other_files(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"%PDF, or whatever it is")
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert FILES[name] in str(caught.value) and name in str(caught.value) and "\n" not in str(caught.value)
    if "first bytes" not in FILES[name]:
        with pytest.raises(SourceError, match=f"{FILES[name].partition(':')[0]}"):
            open_source(str(tmp_path / f"*{path.suffix if path.suffix != '.GZ' else '.tar.gz'}"))  # a glob of such
    path.unlink()
    path.mkdir()  # a folder may be called as it likes
    assert isinstance(open_source(str(path)), LocalSource)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_an_image_may_be_called_as_it_likes(tmp_path, encode, image_format):
    (tmp_path / "scan").write_bytes(encode(image_format))
    [table] = open_source(str(tmp_path / "scan")).list_images()
    assert len(table) == 1


def test_what_works_as_it_is_written(tmp_path, monkeypatch):
    source = open_source("S3://Bucket/a%20b")
    assert isinstance(source, S3Source) and (source.bucket, source.prefix) == ("Bucket", "a%20b")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gs:").mkdir()
    assert open_source("gs://").path == str(tmp_path / "gs:")  # if there is a folder of this name
    (tmp_path / "photos.csv").mkdir()
    (tmp_path / "photos.csv" / "a.jpg").touch()
    assert sum(map(len, open_source("photos.csv").list_images())) == 1


@pytest.mark.parametrize("command", ["run", "extract", "plan"])
def test_it_is_said_before_anything_starts(command, tmp_path, monkeypatch):
    for start in ("pixelbrain.engine.cluster.session.ray_session", "pixelbrain.stages.stages.fetch_missing"):
        monkeypatch.setattr(start, lambda *_, **__: pytest.fail("started"))
    with tarfile.open(tmp_path / "photos.tgz", "w:gz") as file:
        file.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    for source, said in (str(tmp_path / "photos.tgz"), "is an archive"), ("hdfs://b/p", "hdfs:// is not read"):
        result = CliRunner().invoke(cli, [command, source, "--out", str(tmp_path / "out")])
        assert result.exit_code == 1 and said in result.output and len(result.output.splitlines()) == 1
        assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="hdfs:// is not read"):
        pb.Pipeline(pb.DataLoader("hdfs://b/p"), [pb.ResnetClassifierModule("efficientnet-lite0")]).run(
            tmp_path / "out"
        )

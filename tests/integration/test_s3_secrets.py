"""Credentials reach no log, no error, no file and no command line, at whatever level is logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixelbrain as pb
from pixelbrain.errors import PixelbrainError
from pixelbrain.sources import open_source, read_bytes
from tests.integration.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    assert_no_secret,
    aws_environment,
    faulty_proxy,
    rclone_server,
)

TOKEN = "FwoGZXIvYXdzEPiXeLbRaIn//////////wEaDHRva2VuLW9mLXRlc3Rz+Q=="


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that all libraries say at DEBUG, asked for as a whole and of boto3 by name."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    loggers = [logging.getLogger(name) for name in (None, "boto3", "botocore", "urllib3", "pixelbrain")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield said
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    loggers[0].removeHandler(handler)


def command_lines() -> str:
    """Those of all processes, as everyone on the machine can read them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return "\n".join(found)


def test_nothing_says_a_secret(s3: Any, tmp_path: Path, encode, everything_logged):
    secrets = (ACCESS_KEY, SECRET_KEY, TOKEN)
    said: list[str] = []

    def attempt(uri: str, endpoint: str | None) -> None:
        for action in (
            lambda: [len(table) for table in open_source(uri, s3_endpoint=endpoint).list_images()],
            lambda: read_bytes(f"{uri}a.jpg", s3_endpoint=endpoint),
        ):
            try:
                action()
            except PixelbrainError as error:
                said.extend((repr(error), repr(error.__context__), repr(error.__cause__)))

    served = tmp_path / "served"
    (served / "photos").mkdir(parents=True)
    (served / "photos" / "a.jpg").write_bytes(encode())
    (served / "photos" / "broken.jpg").write_bytes(encode()[:99])
    echo = f"<Error><Code>Odd</Code><Message>{ACCESS_KEY} {SECRET_KEY} {TOKEN}</Message></Error>".encode()
    right = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    with (
        aws_environment(**right, AWS_SESSION_TOKEN=TOKEN) as patch,
        rclone_server(served) as url,
        faulty_proxy(url) as proxy,
    ):
        batches = list(pb.DataLoader("s3://photos/", s3_endpoint=proxy.url).batches(8))
        assert [len(batch.images) for batch in batches] == [1]
        said += [repr(error) for batch in batches for error in batch.failures.values()]
        said.append(command_lines())
        proxy.faults += [Fault(times=3, cut_after=0, reset=True), Fault(target="GET", status=403, body=echo, times=9)]
        attempt("s3://photos/", proxy.url)  # what a server echoes
        attempt("s3://absent/", url)
        attempt("s3://photos/", url.replace("http://", f"http://{ACCESS_KEY}:{SECRET_KEY}@".replace("/oF", "%2FoF")))
        attempt(f"s3://{ACCESS_KEY}:{SECRET_KEY.replace('/', '%2F')}@photos/", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIA" + "0" * 16)
        attempt("s3://photos/", url)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY[::-1])
        attempt("s3://photos/", url)
    log = everything_logged.getvalue()
    assert "GET /photos/a.jpg" in log  # it was listened to
    assert len(said) >= 30
    assert_no_secret(log, *said, secrets=(*secrets, SECRET_KEY[::-1]))


def test_the_search_finds_what_it_is_to_find(tmp_path: Path):
    """In texts, in plain files, in packed Parquet files and their metadata, and as URLs and HTML write it."""
    packed = pa.table({"error": [f"key {SECRET_KEY}"] * 3})
    clean = pa.table({"error": ["nothing"]})
    (tmp_path / "a").mkdir()
    pq.write_table(packed, tmp_path / "a" / "a.parquet", compression="zstd")
    (tmp_path / "b").mkdir()
    pq.write_table(clean.replace_schema_metadata({"note": ACCESS_KEY}), tmp_path / "b" / "b.parquet")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text(SECRET_KEY.replace("+", "%2B").replace("/", "%2F"))
    (tmp_path / "d").mkdir()
    pq.write_table(clean, tmp_path / "d" / "d.parquet")
    for name in "abc":
        with pytest.raises(AssertionError, match="a secret in"):
            assert_no_secret(tmp_path / name)
    with pytest.raises(AssertionError, match="a secret in the text"):
        assert_no_secret(f"https://host/?key={ACCESS_KEY}")
    assert_no_secret(tmp_path / "d", "nothing")

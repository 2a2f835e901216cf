"""Reading from an S3 server that is busy, slow, or breaks off: every byte of one version, or a row's error in time.

A proxy misbehaves before real servers: rclone's, which checks signatures and knows no If-Match, and moto's, which does.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources import base, open_source, read_image, s3
from pixelbrain.sources.s3 import S3Source, read_s3
from pixelbrain.storage.retry import Retries
from pixelbrain.storage.s3_client import s3_client
from tests.integration.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    FaultyProxy,
    aws_environment,
    faulty_proxy,
    rclone_server,
)

QUICK = Retries(tries=4, limit_s=20, first_wait_s=0.02)
BODY = random.Random(4).randbytes(3_000_000)
URI = "s3://photos/in/big.jpg"
GET = "GET /photos/in/big.jpg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """rclone's URL, and the folder of its bucket `photos`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "photos" / "in").mkdir(parents=True)
    with rclone_server(folder, "--dir-cache-time", "0") as url:
        yield url, folder / "photos"


@pytest.fixture(autouse=True)
def signed(s3: Any) -> Iterator[None]:
    """After `s3`, which sets other credentials when it starts."""
    with aws_environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY):
        yield


@pytest.fixture
def bucket(server: tuple[str, Path]) -> Path:
    (server[1] / "in" / "big.jpg").write_bytes(BODY)
    return server[1]


@pytest.fixture
def proxy(server: tuple[str, Path], bucket: Path) -> Iterator[FaultyProxy]:
    with faulty_proxy(server[0]) as proxy:
        yield proxy


@pytest.fixture
def moto_proxy(s3: Any, server: tuple[str, Path]) -> Iterator[FaultyProxy]:
    s3.create_bucket(Bucket="photos-moto")
    s3.put_object(Bucket="photos-moto", Key="in/big.jpg", Body=BODY)
    with faulty_proxy(s3.meta.endpoint_url) as proxy:
        yield proxy


def read(proxy: FaultyProxy, uri: str = URI, retries: Retries = QUICK) -> bytes:
    return read_s3(uri, endpoint=proxy.url, retries=retries).data


@pytest.mark.parametrize(
    "fault",
    [
        Fault(target=GET, times=2, status=503, code="SlowDown"),
        Fault(target=GET, times=2, status=500, code="InternalError"),
        Fault(target=GET, times=2, status=400, code="RequestTimeout"),
        Fault(target=GET, times=2, status=429, body=b"<html>busy</html>"),
        Fault(target=GET, times=2, cut_after=0, reset=True),
    ],
    ids=lambda fault: str(fault.code or fault.status or "reset"),
)
def test_what_passes_is_tried_again(proxy, fault):
    proxy.faults.append(fault)
    assert read(proxy) == BODY
    assert proxy.count(GET) == 3


def test_a_server_that_stays_busy_is_given_up(proxy):
    proxy.faults.append(Fault(target=GET, times=100, status=503, code="SlowDown"))
    with pytest.raises(ReadError, match=r"^the server asks to slow down; tried 4 times in \d s$"):
        read(proxy)
    assert proxy.count(GET) == 4


def test_time_is_a_limit_too(proxy):
    proxy.faults.append(Fault(target=GET, times=100, status=503, code="SlowDown", headers={"retry-after": "5"}))
    with pytest.raises(ReadError, match="tried 1 times"):
        read(proxy, retries=Retries(tries=100, limit_s=1))
    assert proxy.count(GET) == 1


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (404, "NoSuchKey"), (400, "ExpiredToken")])
def test_what_does_not_pass_is_asked_once(proxy, status, code):
    proxy.faults.append(Fault(target=GET, times=100, status=status, code=code))
    with pytest.raises(ReadError):
        read(proxy)
    assert proxy.count(GET) == 1


def test_a_connection_cut_goes_on_where_it_broke(proxy):
    proxy.faults.append(Fault(target=GET, cut_after=1_000_000))
    assert read(proxy) == BODY
    assert proxy.count(GET) == 2
    assert proxy.headers[-1]["range"] == "bytes=1000000-"
    assert proxy.headers[-1]["if-match"]


def test_a_reset_connection_loses_nothing(proxy):
    proxy.faults.append(Fault(target=GET, times=3, cut_after=700_000, reset=True))
    assert read(proxy) == BODY
    assert proxy.count(GET) == 4


def test_a_connection_that_always_breaks_is_given_up(proxy):
    proxy.faults.append(Fault(target=GET, times=100, cut_after=10))
    with pytest.raises(ReadError, match="^only 40 of 3,000,000 bytes came; tried 4 times"):
        read(proxy)
    assert [h.get("range") for h in proxy.headers] == [None, "bytes=10-", "bytes=20-", "bytes=30-"]


def test_an_object_that_changes_meanwhile_is_not_glued(proxy, server):
    """rclone ignores If-Match: the ETag of the rest tells."""
    other = BODY[::-1]
    client = s3_client(server[0])
    proxy.faults.append(
        Fault(
            target=GET,
            cut_after=1_000_000,
            then=lambda: client.put_object(Bucket="photos", Key="in/big.jpg", Body=other),
        )
    )
    found = read_s3(URI, endpoint=proxy.url, retries=QUICK)
    assert found.data == other
    assert proxy.count(GET) == 3  # a part of the old one, the refused rest, all of the new one
    [row] = next(open_source("s3://photos/in/", s3_endpoint=proxy.url).list_images()).to_pylist()
    assert row["version"] == found.version


@pytest.mark.parametrize("other", [BODY[::-1], BODY[:500_000]], ids=["as long", "shorter"])
def test_an_object_that_changes_meanwhile_is_not_glued_with_if_match(moto_proxy, s3, other):
    moto_proxy.faults.append(
        Fault(
            target="GET",
            cut_after=1_000_000,
            then=lambda: s3.put_object(Bucket="photos-moto", Key="in/big.jpg", Body=other),
        )
    )
    assert read(moto_proxy, "s3://photos-moto/in/big.jpg") == other
    assert moto_proxy.count("GET") == 3


def test_a_server_that_knows_no_ranges(moto_proxy):
    moto_proxy.faults += [Fault(target="GET", cut_after=1_000_000), Fault(target="GET", drop=("range", "if-match"))]
    assert read(moto_proxy, "s3://photos-moto/in/big.jpg") == BODY
    assert moto_proxy.count("GET") == 2


def test_silence_is_not_waited_for(proxy, monkeypatch):
    monkeypatch.setattr(s3, "_SILENCE_S", 0.4)
    proxy.faults += [
        Fault(target=GET, silent_s=5),
        Fault(target=GET, piece_bytes=2_000_000, pause_s=5),
    ]
    assert read(proxy) == BODY
    assert [h.get("range") for h in proxy.headers] == [None, None, "bytes=2000000-"]


def test_a_body_that_drips_is_given_up(proxy):
    proxy.faults.append(Fault(target=GET, piece_bytes=10, pause_s=0.05))
    with pytest.raises(ReadError, match=r"too slow: [\d,]+ of 3,000,000 bytes came in 1 s"):
        read(proxy, retries=Retries(limit_s=1))
    assert proxy.count(GET) == 1


def test_what_is_no_image_for_its_size_is_not_fetched(proxy, monkeypatch):
    monkeypatch.setattr(base, "MAX_IMAGE_BYTES", 2_000_000)
    with pytest.raises(ReadError, match="3,000,000 bytes are no image"):
        read(proxy)


def test_gone_between_listing_and_reading(proxy, bucket):
    [row] = next(open_source("s3://photos/in/", s3_endpoint=proxy.url).list_images()).to_pylist()
    (bucket / "in" / "big.jpg").unlink()
    with pytest.raises(ReadError, match="^no such object$"):
        read_image(row["image_id"], s3_endpoint=proxy.url)


def test_changed_between_listing_and_reading(proxy, bucket):
    [before] = next(open_source("s3://photos/in/", s3_endpoint=proxy.url).list_images()).to_pylist()
    (bucket / "in" / "big.jpg").write_bytes(b"newer")
    found = read_image(before["image_id"], s3_endpoint=proxy.url)
    [after] = next(open_source("s3://photos/in/", s3_endpoint=proxy.url).list_images()).to_pylist()
    assert found.data == b"newer"
    assert found.version == after["version"] != before["version"]


def test_a_page_that_breaks_is_asked_again(proxy):
    listing = "GET /photos.list-type"
    proxy.faults += [
        Fault(target=listing, status=503, code="SlowDown"),
        Fault(target=listing, cut_after=150),
        Fault(target="HEAD /photos", cut_after=0, reset=True),
    ]
    source = S3Source("s3://photos/in/", endpoint=proxy.url, retries=QUICK)
    assert sum(len(table) for table in source.list_images()) == 1
    assert proxy.count(listing) == 3


def test_connections_are_shared_and_kept(proxy, bucket, caplog):
    (bucket / "small").mkdir(exist_ok=True)
    names = [f"{index:03d}.jpg" for index in range(150)]
    for name in names:
        (bucket / "small" / name).write_bytes(name.encode())

    def fetch(name: str) -> bytes:
        return read(proxy, f"s3://photos/small/{name}")

    with caplog.at_level(logging.WARNING):
        assert [fetch(name) for name in names[:20]] == [name.encode() for name in names[:20]]
        assert proxy.connections == 1
        with ThreadPoolExecutor(64) as pool:
            assert list(pool.map(fetch, names)) == [name.encode() for name in names]
    assert proxy.connections <= 64
    assert not caplog.records


def test_a_listing_that_breaks_is_no_short_listing(proxy, bucket):
    (bucket / "many").mkdir(exist_ok=True)
    for index in range(1001):
        (bucket / "many" / f"{index:04d}.jpg").write_bytes(b"")
    proxy.faults.append(Fault(target="continuation-token", times=100, status=500, code="InternalError"))
    tables = S3Source("s3://photos/many", endpoint=proxy.url, retries=QUICK).list_images()
    assert len(next(tables)) == 1000
    with pytest.raises(SourceError, match="cannot list s3://photos/many: .*tried 4 times"):
        next(tables)

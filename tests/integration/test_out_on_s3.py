"""OUT in S3: landed, read, journalled and recorded there as on a disk, on two servers, through faults of a third."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import LandingError
from pixelbrain.landing.answers.log import AnswerLog, AnswerMemory
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.remaining import Remaining
from pixelbrain.record import read_record, write_stage
from pixelbrain.storage.base import FileGoneError, Storage
from pixelbrain.storage.open import open_storage
from tests.integration.s3_servers import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    FaultyProxy,
    assert_no_secret,
    aws_environment,
    faulty_proxy,
    rclone_server,
)
from tests.waiting import wait_for

BUCKET = "results"
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1"}
DIM = 512
STATE = ModuleState(settings={"k": 1}, model=schema.ModelInfo(model="m", weights_sha256="0" * 64, dim=DIM))
PAGED = [f"{number:05d}.parquet" for number in range(1100)]  # a page has 1,000
TYPES = {"is_cat": pa.bool_()}


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that checks signatures; below `paged` there are `PAGED` files."""
    folder = tmp_path_factory.mktemp("rclone")
    images = folder / BUCKET / "paged" / "images"
    images.mkdir(parents=True)
    for name in PAGED:
        (images / name).touch()
    with rclone_server(folder) as url:
        yield url


@pytest.fixture(params=["moto", "rclone"])
def endpoint(request: pytest.FixtureRequest, s3: Any, rclone: str) -> Iterator[str]:
    """A server of either kind, its bucket made, its credentials in the environment."""
    if request.param == "moto":
        s3.create_bucket(Bucket=BUCKET)
        yield s3.meta.endpoint_url
        return
    with aws_environment(**KEYS):
        yield rclone


@pytest.fixture
def out(endpoint: str, request: pytest.FixtureRequest) -> Storage:
    """An OUT of each test's own, with a space in its name."""
    return open_storage(f"s3://{BUCKET}/my runs/{request.node.name}", s3_endpoint=endpoint)


@pytest.fixture
def proxy(s3: Any) -> Iterator[FaultyProxy]:
    """Moto behind a proxy."""
    s3.create_bucket(Bucket=BUCKET)
    with faulty_proxy(s3.meta.endpoint_url) as running:
        yield running


@pytest.fixture
def faulty(proxy: FaultyProxy, request: pytest.FixtureRequest) -> Storage:
    """An OUT behind the proxy."""
    return open_storage(f"s3://{BUCKET}/faulty/{request.node.name}", s3_endpoint=proxy.url)


def rows(ids: list[str], seed: int = 0) -> pa.Table:
    base = [{"image_id": i, "version": "1", "status": "ok", "width": 10, "height": 20} for i in ids]
    vectors = np.random.default_rng(seed).random((len(ids), DIM), np.float32)
    faces = [
        {"n_faces": 1, "faces": [{"face_id": f"{i}#0", "score": 0.5, "embedding": vector.tolist()}]}
        for i, vector in zip(ids, vectors, strict=True)
    ]
    table = pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS))
    return table.append_column("facenet", pa.array(faces, schema.module_struct(schema.faces_fields(DIM))))


def land(landing: Landing, ids: list[str], block: int, piece: int = 0) -> str:
    return landing.write_part(rows(ids), generation=1, block=block, piece=piece, modules={"facenet": STATE})


def ids_of(landing: Landing) -> list[str]:
    return [i for table in landing.iter_images(vectors=False) for i in table["image_id"].to_pylist()]


def record(image_id: str, **values: Any) -> dict[str, Any]:
    base = {"image_id": image_id, "version": "1", "field": "is_cat", "question": "q1", "key": f"k-{image_id}"}
    return base | {"status": "ok", "cost_usd": "0.001", "answer": True, "remembered": False} | values


def test_files(out):
    assert out.names("images") == [] and out.folders("") == [] and out.read("run.json") is None
    out.write("images/b.txt", b"two")
    out.write("images/a b+ü%20.txt", b"one")
    out.write("images/deep/c.txt", b"")
    out.write("images/b.txt", b"2")
    assert out.names("images") == ["a b+ü%20.txt", "b.txt"] and out.folders("images") == ["deep"]
    assert out.read("images/b.txt") == b"2" and out.read("images/deep/c.txt") == b""
    out.move("images/a b+ü%20.txt", "images/broken/a b+ü%20.txt")
    assert out.names("images") == ["b.txt"] and out.read("images/broken/a b+ü%20.txt") == b"one"
    with pytest.raises(FileGoneError, match="is not there any more"):
        out.move("images/absent", "images/broken/absent")
    out.delete("images/b.txt")
    out.delete("images/b.txt")
    assert out.read("images/b.txt") is None
    assert pickle.loads(pickle.dumps(out)).read("images/broken/a b+ü%20.txt") == b"one"
    assert not out.local.exists()  # nothing here needed a disk


def test_what_lands_is_read_exactly_once(out):
    landing = Landing(out)
    assert not landing.exists() and landing.block_so_far(1, 0) == (set(), 0)
    land(landing, ["a", "b"], 0, 0)
    land(landing, ["c"], 0, 1)
    land(landing, ["d"], 1)
    assert landing.block_so_far(1, 0) == ({"a", "b", "c"}, 2)
    again = Landing(out.uri, s3_endpoint=out._endpoint)
    assert again.storage.uri == out.uri and ids_of(again) == ["a", "b", "c", "d"]
    (table,) = again.iter_images()
    assert len(table) == 4 and table.slice(0, 2)["facenet"].to_pylist() == rows(["a", "b"])["facenet"].to_pylist()
    assert again.models()["facenet"].dim == DIM
    GROUPS.write(again, pa.Table.from_pylist([], schema.GROUP_SCHEMA))
    assert len(GROUPS.read(again).rows) == 0 and IDENTITIES.read(again).rows is None


def test_parts_that_cannot_be_read_are_set_aside(out, caplog):
    landing = Landing(out)
    first = land(landing, ["a"], 0)
    land(landing, ["b"], 1)
    last = land(landing, ["c"], 2)
    out.write(first, out.read(first)[:-20])
    out.write(last, b"")
    assert ids_of(landing) == ["b"]
    said = [found.getMessage() for found in caplog.records if found.name.startswith("pixelbrain")]
    assert len(said) == 2 and first in said[0] and last in said[1]
    assert landing.set_aside_broken() == [f"broken/{first[7:]}", f"broken/{last[7:]}"]
    assert out.names("broken") == [first[7:], last[7:]] and len(out.names("images")) == 1
    land(landing, ["a", "c"], 3)
    landing.refresh()
    assert ids_of(landing) == ["b", "a", "c"]


def test_answers_are_journalled_in_segments_and_folded(out):
    log = AnswerLog(out)
    memory = AnswerMemory(log, "one", TYPES, {"is_cat": "q1"})
    for number in range(3):
        memory.journal(record(f"i{number}"))
    memory.flush()
    assert [r["image_id"] for r in AnswerLog(out).records()] == ["i0", "i1", "i2"]  # whoever is killed now
    memory.journal(record("late"))
    memory.close()
    memory = AnswerMemory(log, "one", TYPES, {"is_cat": "q1"})  # the same writer once more, and in a hurry
    assert memory.remembered("k-late")["image_id"] == "late" and memory.remembered("k-none") is None
    for number in range(500):
        memory.journal(record(f"many{number}"))
    names = [f"one-{number:08d}.jsonl" for number in (1, 2, 3)]
    wait_for(lambda: out.names("answers/journal") == names)  # by itself, because there are so many
    memory.close()
    assert out.names("answers/journal") == names
    log.set_lost("run", ["is_cat"], Decimal("0.5"))
    log.fold()
    assert out.names("answers/journal") == [] and out.names("answers/is_cat") == ["part-000001.parquet"]
    assert log.fields() == ["is_cat"] and len(log.read("is_cat")) == 504
    assert log.lost_usd(["is_cat"]) == Decimal("0.5")
    log.set_lost("run", ["is_cat"], Decimal(0))
    assert log.lost_usd(["is_cat"]) == 0


def test_the_record_of_a_run(out):
    assert read_record(out) == {}
    write_stage(out, "extract", {"done": 3}, settings={"source": "photos"})
    write_stage(out, "load", {"images": 3}, settings={})
    found = read_record(out)
    assert found["settings"] == {"source": "photos"} and list(found["stages"]) == ["extract", "load"]
    out.write("run.json", b"{")
    with pytest.raises(LandingError, match=r"cannot read s3://.*/run.json: .*delete it"):
        read_record(out)


def test_listings_are_read_to_their_last_page(rclone):
    with aws_environment(**KEYS):
        assert open_storage(f"s3://{BUCKET}/paged", s3_endpoint=rclone).names("images") == PAGED


def test_who_may_not_is_told_so_and_nothing_more(rclone, s3, proxy):
    with pytest.raises(LandingError, match=r"cannot read s3://absent/out/format.json: no such bucket"):
        Landing("s3://absent/out", s3_endpoint=s3.meta.endpoint_url).exists()
    denied = open_storage(f"s3://{BUCKET}/out", s3_endpoint=proxy.url)
    proxy.faults.append(Fault(target="^PUT", times=9, status=403, code="AccessDenied"))
    with pytest.raises(
        LandingError, match=r"cannot write s3://results/out/.*.json: access denied.*s3:PutObject"
    ) as caught:
        write_stage(denied, "extract", {}, settings={})
    said = str(caught.value)
    wrong = KEYS | {"AWS_SECRET_ACCESS_KEY": SECRET_KEY[::-1]}
    with aws_environment(**wrong), pytest.raises(LandingError, match="the secret key is wrong") as caught:
        open_storage(f"s3://{BUCKET}/out", s3_endpoint=rclone).names("images")
    assert_no_secret(said + str(caught.value), secrets=(ACCESS_KEY, SECRET_KEY[::-1]))


def test_columns_are_fetched_and_not_files(faulty, proxy):
    landing = Landing(faulty)
    name = land(landing, [f"i{number:03d}" for number in range(400)], 0)
    size = len(faulty.read(name))
    proxy.requests.clear()
    proxy.headers.clear()
    assert len(ids_of(landing)) == 400
    asked = zip(proxy.requests, proxy.headers, strict=True)
    ranges = [headers["range"] for request, headers in asked if "parquet" in request]
    assert len(ranges) >= 3
    spans = [re.fullmatch(r"bytes=(\d*)-(\d+)", text).groups() for text in ranges]
    fetched = sum(int(stop) - int(start) + 1 if start else int(stop) for start, stop in spans)
    assert fetched < size / 2 and size > 700_000


def test_a_small_part_is_one_request_whatever_is_read_of_it(faulty, proxy):
    for block in range(20):
        land(Landing(faulty), [f"{block}-{number}" for number in range(5)], block)
    proxy.requests.clear()
    landing = Landing(faulty)
    assert landing.set_aside_broken() == []
    listed = pa.table({"image_id": landing.index.image_id, "version": landing.index.version})
    assert Remaining(landing, {"facenet": STATE.settings_hash}).split(listed) == {}
    assert len(ids_of(landing)) == sum(map(len, landing.iter_images())) == 100
    assert proxy.count(r"^GET .*\.parquet") == 20 and proxy.count("list-type.*images") == 1
    landing.refresh()
    assert len(ids_of(landing)) == 100
    assert proxy.count(r"^GET .*\.parquet") == 20 and proxy.count("list-type.*images") == 2


def test_large_parts_are_opened_once_and_read_in_few_ranges(faulty, proxy):
    for block in range(3):
        land(Landing(faulty), [f"{block}-{number}" for number in range(300)], block)
    landing = Landing(faulty)
    assert landing.exists()
    proxy.requests.clear()
    assert sum(map(len, landing.iter_images())) == 900
    # the ids for the index, then, for each batch, the columns; their ends are known from the listing on
    assert proxy.count(r"^GET .*\.parquet") <= 3 * 3


def test_requests_that_fail_are_sent_again(faulty, proxy):
    landing = Landing(faulty)
    proxy.faults += [
        Fault(target="^PUT", status=503, code="SlowDown"),
        Fault(target="^GET.*parquet", cut_after=1000),
        Fault(target="^GET.*parquet", status=500, code="InternalError"),
        Fault(target="list-type", status=503, code="SlowDown"),
    ]
    name = land(landing, ["a", "b"], 0)
    assert ids_of(landing) == ["a", "b"]
    assert proxy.count("^PUT") == 2 and not any(fault.times for fault in proxy.faults)
    assert faulty.read(name)


def test_a_file_that_is_replaced_while_it_is_read_is_no_mixture(faulty):
    landing = Landing(faulty)
    name = land(landing, [f"i{number:03d}" for number in range(100)], 0)
    with pytest.raises(FileGoneError, match="was replaced while it was read"), faulty.open_parquet(name) as file:
        assert file.metadata.num_rows == 100
        land(Landing(faulty), [f"j{number:03d}" for number in range(100)], 0)
        file.read(columns=["image_id", "facenet"])


def test_a_journal_that_cannot_be_written_says_so_and_loses_nothing(faulty, proxy):
    journal = AnswerLog(faulty).journal("one", TYPES)
    proxy.faults.append(Fault(target="^PUT", status=403, code="AccessDenied"))
    journal.append(record("a"))
    wait_for(lambda: not proxy.faults[0].times)  # two seconds later, by itself
    with pytest.raises(LandingError, match="access denied"):
        wait_for(lambda: journal.append(record("b")))
    journal.close()  # permission was given meanwhile
    assert {r["image_id"] for r in AnswerLog(faulty).records()} >= {"a"}

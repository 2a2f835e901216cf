"""Photos and OUT both in S3, on a server that checks signatures: each command does there what it does on a disk."""

from __future__ import annotations

import csv
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pixelbrain as pb
from pixelbrain.storage.open import open_storage
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from tests.integration.s3_servers import ACCESS_KEY, SECRET_KEY, assert_no_secret, aws_environment, rclone_server
from tests.integration.watched import World

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1"}
WORKERS_SECRET = "not-a-secret"  # of Ray's workers, which the fixture `s3` gives them: a machine has keys of its own
IMAGES = 60
BLOCK = 12  # images, with so few
SAMPLES = Path(pb.__file__).parent / "samples"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder behind the server: a bucket for photos, and one for results."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "photos").mkdir()
    (folder / "results").mkdir()
    return folder


@pytest.fixture(scope="module")
def endpoint(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server, whose credentials this process and the commands have; what needs a disk goes to a cache of its own.

    The Ray of all tests, where one wants it, has started before, and its workers keep theirs.
    """
    keys = ("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--auth-key", f"testing,{WORKERS_SECRET}")
    with rclone_server(served, *keys) as url, aws_environment(**KEYS) as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield url


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> Any:
    """A client of the server."""
    import boto3

    return boto3.client("s3", endpoint_url=endpoint)


class S3World(World):
    """The same in S3: the log alone is on a disk."""

    endpoint = ""

    @property
    def arguments(self) -> list[str]:
        source = ["s3://photos/watched/", "--out", "s3://results/my runs/watched"]
        return ["extract", *source, "--s3-endpoint", self.endpoint, "--module", "watched:Watched"]


def read_rows(out: str, endpoint: str) -> dict[str, dict[str, Any]]:
    """Rows by the last part of their image_id; fails if an image is there twice."""
    landing = pb.Landing(out, s3_endpoint=endpoint)
    rows = [row for table in landing.iter_images(vectors=False) for row in table.to_pylist()]
    found = {row["image_id"].rpartition("/")[2]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_run_that_is_killed_goes_on_and_does_only_what_is_left(
    tmp_path, encode, served, endpoint, bucket, ray_running, command, monkeypatch
):
    world = S3World(tmp_path, seconds=0.1)
    world.endpoint = endpoint
    for index in range(IMAGES):
        size = (8 + index, 9)
        bucket.put_object(Bucket="photos", Key=f"watched/{index:02d}ü+.png", Body=encode("PNG", size=size))
    process = world.start(address=ray_running)
    world.wait_for_looks(15, process)
    process.send_signal(signal.SIGSTOP)  # that it is not done too soon
    monkeypatch.chdir(tmp_path)  # where watched.py is
    second = command(*world.arguments, check=False)
    process.kill()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == -9, said
    who = f"Error: s3://results/my runs/watched is in use by process {process.pid} on {socket.gethostname()} "
    assert second.returncode == 1 and second.stderr.startswith(who) and len(second.stderr.splitlines()) == 1

    world.hurry()
    local = ("--executor", "local")  # that is not where it is done, and starts sooner
    said += command(*world.arguments, *local).stderr  # at once: the owner of the lock is known to be dead
    out = world.arguments[3]
    rows = read_rows(out, endpoint)
    assert len(rows) == IMAGES and {row["status"] for row in rows.values()} == {"ok"}
    assert len(world.looks()) == IMAGES and len(world.seen()) - IMAGES <= 2 * BLOCK

    looks = len(world.seen())
    done = command(*world.arguments, *local)
    assert f"{IMAGES} were there already" in done.stderr and len(world.seen()) == looks
    bucket.put_object(Bucket="photos", Key="watched/07ü+.png", Body=encode("PNG", size=(90, 90)))
    bucket.delete_object(Bucket="photos", Key="watched/08ü+.png")
    bucket.put_object(Bucket="photos", Key="watched/new.png", Body=encode("PNG"))
    said += command(*world.arguments, "--prune", *local).stderr
    assert "extract   2 images" in said and "1 images are gone from s3://photos/watched/, and were removed" in said
    assert len(world.seen()) == looks + 2
    rows = read_rows(out, endpoint)
    assert len(rows) == IMAGES and rows["07ü+.png"]["watched"]["pixels"] == 8100 and "08ü+.png" not in rows

    compacted = command("compact", out, "--s3-endpoint", endpoint)
    assert f"{IMAGES} images" in compacted.stdout and len(open_storage(out, s3_endpoint=endpoint).names("images")) == 1
    assert read_rows(out, endpoint) == rows
    storage = open_storage(out, s3_endpoint=endpoint)
    assert storage.names("work") == ["generation", "published.json"] and storage.names("lock") == []
    assert json.loads(storage.read("run.json"))["stages"]["extract"]["listed"] == IMAGES
    assert_no_secret(served / "results", said, done.stderr, secrets=(ACCESS_KEY, SECRET_KEY, WORKERS_SECRET))


def test_the_whole_job(tmp_path, served, endpoint, bucket, command, monkeypatch):
    photos = [*sorted(SAMPLES.glob("*/nasa*.jpg")), SAMPLES / "things" / "cat.jpg"]
    assert len(photos) == 5
    for photo in photos:
        bucket.put_object(Bucket="photos", Key=f"people/{photo.name}", Body=photo.read_bytes())
    out, at = "s3://results/people", ("--s3-endpoint", endpoint)
    ran = command("run", "s3://photos/people", "--out", out, "--offline", "--executor", "local", *at)
    storage = open_storage(out, s3_endpoint=endpoint)
    page = storage.local / "report" / "index.html"
    assert ran.stdout == f"Open {page.as_uri()}\n" and page.is_file()
    assert "extract   5 images, " in ran.stderr and "load      5 images into MongoDB" in ran.stderr
    assert "identify  1 people in 4 of 4 faces" in ran.stderr
    assert storage.names("identities") == ["identities.parquet"] and storage.folders("") == [
        "faces",
        "identities",
        "images",
        "people",
        "thumbnails",
        "work",
    ]

    monkeypatch.chdir(tmp_path)
    with EmbeddedMongo(storage.local / "db" / "mongo"):  # started once for all of these
        status = json.loads(command("status", out, "--json", *at).stdout)
        assert status["stores"]["in_step"] and (status["images"], status["people"]) == (5, 1)
        assert "MongoDB and ChromaDB agree" in command("verify", out, *at).stdout
        with pb.Database.open(storage) as database:
            database.delete()
        assert command("verify", out, *at, check=False).returncode == 1
        command("load", out, *at)
        command("identify", out, *at)
        assert "MongoDB and ChromaDB agree" in command("verify", out, *at).stdout
        page.unlink()
        assert command("report", out, *at).stdout == ran.stdout and page.is_file()
        command("export", out, "faces.csv", "--table", "faces", *at)
        with open("faces.csv", newline="") as file:
            faces = list(csv.DictReader(file))
        assert len(faces) == 4 and len({face["identity_id"] for face in faces}) == 1
        assert not Path("s3:").exists()
    written = (served / "results", storage.local / "report", tmp_path)
    assert_no_secret(*written, ran.stdout, ran.stderr, secrets=(ACCESS_KEY, SECRET_KEY, WORKERS_SECRET))


@pytest.mark.parametrize("verb", ["extract", "run"])
def test_who_may_not_write_to_out_is_told_so_before_any_work(tmp_path, encode, endpoint, command, verb):
    (tmp_path / "a.jpg").write_bytes(encode())
    wrong = KEYS | {"AWS_SECRET_ACCESS_KEY": SECRET_KEY[::-1]}
    with aws_environment(**wrong):
        refused = command(
            verb, tmp_path, "--out", "s3://results/other", "--s3-endpoint", endpoint,
            "--weights-dir", tmp_path, check=False,
        )  # fmt: skip
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("Error: cannot ") and "the secret key is wrong" in refused.stderr
    assert_no_secret(refused.stderr, secrets=(ACCESS_KEY, SECRET_KEY[::-1]))

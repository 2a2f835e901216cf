"""`pixelbrain ask` as a command: killed, planned, in a batch, and no key in anything that it leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

import pixelbrain as pb
from pixelbrain.landing.landing import Landing
from pixelbrain.report.export import export
from pixelbrain.stores.load import load
from tests.integration.asking.conftest import actors_of_ours, delivered_usd
from tests.integration.asking.landed import land_plain_images


def test_killed_again_and_again_nothing_is_lost_and_little_is_paid_twice(fake, tmp_path, command, ray_running):
    """SIGKILL of the command and of all its processes, at moments drawn from a printed seed.

    The first time of a Ray of its own, too; then of its actors on the Ray of all tests, as on a cluster. The limit
    and not the concurrency holds requests back, as it is by default, so that few are in flight at any moment.
    """
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = random.Random(seed)
    count, kills, concurrency = 80, 2, 10
    landing = land_plain_images(tmp_path, count)
    fake.control(latency_ms=150, jitter_ms=100)
    arguments = [
        "ask", landing.storage.uri, "--field", "width_px", "--question", "How wide?", "--answer", "int",
        "--concurrency", str(concurrency),
    ]  # fmt: skip
    program = [str(Path(sys.executable).parent / "pixelbrain"), *arguments, "--rpm", "600"]
    for number in range(kills):
        joined = {"RAY_ADDRESS": ray_running} if number else {}
        env = {**os.environ, **joined, **fake.environment}
        wanted = len(fake.requests()) + rng.randint(4, 16)
        with subprocess.Popen(program, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 120
            while len(fake.requests()) < wanted and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 0.3))
            assert process.poll() is None, f"it ended before kill {number + 1}"
            its_own = psutil.Process(process.pid).children(recursive=True)
            for victim in [process, *its_own, *actors_of_ours("AskingActor", "LimiterActor")]:
                try:
                    victim.kill()
                except psutil.NoSuchProcess:
                    continue  # it went with another
    command(*arguments, **fake.environment)
    rows = Landing(landing.storage).answer_log.read("width_px").to_pylist()
    assert Counter(row["status"] for row in rows) == {"ok": count}
    for row in rows:
        assert 64 <= row["answer"] < 64 + count
    assert len(fake.answered()) == count
    paid_twice = sum(fake.answered().values()) - count
    print(f"{paid_twice} answers paid twice")
    assert paid_twice < concurrency * kills


def test_ctrl_c_is_answered_at_once_and_answers_on_their_way_are_taken(fake, tmp_path, ray_running):
    landing = land_plain_images(tmp_path, 40)
    fake.control(latency_ms=5000)
    program = [
        str(Path(sys.executable).parent / "pixelbrain"), "ask", landing.storage.uri, "--field", "width_px",
        "--question", "How wide?", "--answer", "int", "--concurrency", "4",
    ]  # fmt: skip
    env = {**os.environ, "RAY_ADDRESS": ray_running, **fake.environment}
    with subprocess.Popen(program, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while len(fake.requests()) < 4 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        # a slow machine says first how far it is
        said = next(line for line in process.stderr if line.startswith("Stopping"))
        assert "taking the answers that are on their way" in said and "once more stops now" in said
        assert fake.stats()["in_flight"]  # it was said before they came
        rest = process.stderr.read()
    assert process.returncode == 130 and "the same command does the rest" in rest and "Traceback" not in rest
    rows = Landing(landing.storage).answer_log.read("width_px").to_pylist()
    assert 4 <= len(rows) == len(fake.answered()) < 40


def test_the_command_from_dry_run_to_mongodb_and_no_key_anywhere(fake, tmp_path, pixelbrain, command):
    landing = land_plain_images(tmp_path, 12)
    args = ["ask", landing.storage.uri, "--question", "people_detector"]
    planned = command(*args, "--dry-run", "--rpm", "500", **fake.environment)
    assert "12 images to ask gpt-4o-mini about" in planned.stdout and "batch" in planned.stdout
    assert not fake.requests()
    done = pixelbrain(*args, **fake.environment)
    assert "is_person: 12 ok" in done.stderr
    with pb.Database.open(landing.storage) as database:
        load(Landing(landing.storage), database)
        found = list(database.find_images({"is_person.status": "ok"}))
    assert len(found) == 12 and all(type(d["is_person"]["answer"]) is bool for d in found)
    export(Landing(landing.storage), tmp_path / "images.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert len(rows) == 12 and {type(row["is_person"]) for row in rows} == {bool}
    key = {**fake.environment, "OPENAI_API_KEY": "sk-wrong-0123456789abcdef"}
    wrong = command(*args[:2], "--question", "perfect_eyes", check=False, **key)
    assert wrong.returncode == 1 and wrong.stderr.count("Error: ") == 1 and "OPENAI_API_KEY" in wrong.stderr
    for text in (done.stdout, done.stderr, wrong.stderr):
        assert fake.key not in text and "0123456789abcdef" not in text
    for path in landing.storage.local.rglob("*"):
        if path.is_file() and "db" not in path.parts:
            assert fake.key.encode() not in path.read_bytes(), path


def test_a_batch_is_submitted_and_collected_by_another_command(fake, tmp_path, pixelbrain, command):
    landing = land_plain_images(tmp_path, 12)
    args = [
        "ask",
        landing.storage.uri,
        "--field",
        "hue",
        "--question",
        "Hue?",
        "--answer",
        "choice:red,green,blue",
        "--batch",
    ]
    sent = pixelbrain(*args, "--no-wait", **fake.environment)
    assert "1 batches on their way" in sent.stderr
    deadline = time.monotonic() + 60
    done = command(*args, "--no-wait", **fake.environment)
    while "on their way" in done.stderr and time.monotonic() < deadline:
        time.sleep(0.1)
        done = command(*args, "--no-wait", **fake.environment)
    assert "hue: 12 ok" in done.stderr
    rows = Landing(landing.storage).answer_log.read("hue").to_pylist()
    assert {row["answer"] for row in rows} <= {"red", "green", "blue"} and len(rows) == 12
    assert sum(row["cost_usd"] for row in rows) == delivered_usd(fake)
    assert "0 batches cancelled" in command("ask", landing.storage.uri, "--cancel", **fake.environment).stdout


def test_what_hits_every_request_stops_and_what_is_waited_for_is_said(fake, tmp_path, command, ray_running):
    landing = land_plain_images(tmp_path, 12)
    arguments = ["ask", landing.storage.uri, "--field", "width_px", "--question", "How wide?", "--answer", "int"]
    env = {"RAY_ADDRESS": ray_running, **fake.environment}
    fake.control(faults=[{"kind": "422"}])
    done = command(*arguments, "--concurrency", "1", check=False, **env)
    assert done.returncode == 1 and "all of 8 requests failed" in done.stderr and "could not be followed" in done.stderr
    assert len(fake.requests()) == 8 and "Traceback" not in done.stderr

    fake.control(faults=[{"kind": "429", "after": 2, "retry_after_s": 3600}])
    done = command(*arguments, "--concurrency", "1", "--max-wait", "30m", check=False, **env)
    assert done.returncode == 1 and "asks to wait for 3,600 s, and --max-wait is 1,800 s" in done.stderr
    rows = Landing(landing.storage).answer_log.read("width_px").to_pylist()
    assert Counter(row["status"] for row in rows)["ok"] == 2

    program = [str(Path(sys.executable).parent / "pixelbrain"), *arguments, "--max-wait", "2h"]
    with subprocess.Popen(program, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next(line for line in process.stderr if "waits until" in line)
            process.send_signal(signal.SIGINT)
            process.stderr.read()
        finally:
            process.kill()  # a time-out of this test would wait for it
    assert " min): the server, which said HTTP 429: Rate limit reached" in said

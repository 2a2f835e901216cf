"""The Batch API lane when it is cancelled or killed: what was paid for is kept, and the rest is asked once."""

from __future__ import annotations

import random
import time
from collections import Counter
from decimal import Decimal

import openai
import pytest

from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.asking.request.failures import StopJob
from pixelbrain.storage.open import open_storage
from tests.integration.asking.batch_world import check_answers, check_paid_once, run_apart
from tests.integration.forked import CONTEXT

# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_keeps_what_was_finished(make_world, fake, client) -> None:
    world = make_world(10)
    fake.control(batch_line_s=0.3)
    world.run(client, wait=False)
    while fake.stats()["batch_lines"] < 3:
        time.sleep(0.02)
    report = world.cancel(client)
    assert (report.cancelled, report.ended, report.pending) == (1, 0, 0)
    kept = report.answers["ok"]
    assert 0 < kept < 20 and len(world.records()) == kept
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd() == report.cost_usd
    fake.control(batch_line_s=0)
    world.run(client)
    check_answers(world, 10)
    check_paid_once(world, fake, 10)


def test_cancel_beside_a_run_that_waits(make_world, fake, client) -> None:
    world = make_world(30)
    fake.control(batch_line_s=0.3)
    here, there = CONTEXT.Pipe()
    running = CONTEXT.Process(target=run_apart, args=(world.out, world.images, fake.environment, there))
    running.start()
    there.close()
    while fake.stats()["batch_lines"] < 3:
        time.sleep(0.02)
    report = world.cancel(client)
    assert report.handed_over and report.cancelled >= 1
    assert here.poll(60)
    said = here.recv()
    running.join(60)
    assert running.exitcode == 0 and "cancelled=True" in said and "more=True" in said and "running=0" in said
    kept = Counter(record["status"] for record in world.records())
    assert set(kept) == {"ok"} and 0 < kept["ok"] < 60
    assert Decimal(fake.stats()["billed_usd"]) == world.cost_usd()
    assert not (world.states_folder / "cancel").exists()  # read, and taken back


def test_nothing_to_cancel(make_world, fake, client) -> None:
    assert make_world(1).cancel(client).cancelled == 0


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_batch_that_was_made_but_not_recorded_is_found_again(make_world, fake, client) -> None:
    world = make_world(5)
    fake.control(batch_line_s=1)
    world.run(client, wait=False)
    fake.control(batch_line_s=0)
    store = BatchStore(open_storage(world.out))
    (state,) = store.active()
    state.stage, state.batch_id, state.status = "submitting", None, None  # as if killed before the record
    store.save(state)
    report = world.run(client)
    assert (report.submitted, report.collected) == (0, 1)
    check_answers(world, 5)
    check_paid_once(world, fake, 5)


def test_a_batch_that_was_recorded_but_never_made_is_sent(make_world, fake, client) -> None:
    world = make_world(5)
    with (
        openai.OpenAI(api_key=fake.key, base_url="http://127.0.0.1:9/v1", max_retries=0) as nowhere,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(StopJob, match="run the same command again later"),
    ):
        patch.setattr("pixelbrain.asking.batch.api.PATIENCE_S", 0.1)
        world.run(nowhere)
    assert [state["stage"] for state in world.states()] == ["submitting"]
    report = world.run(client)
    assert report.submitted == 1 and len(world.states()) == 1
    check_answers(world, 5)
    check_paid_once(world, fake, 5)


def test_half_collected_batches_are_collected_again(make_world, fake, client) -> None:
    world = make_world(8)
    fake.control(batch_line_s=1)
    world.run(client, wait=False)
    fake.control(batch_line_s=0)
    saved = {path.name: path.read_bytes() for path in world.states_folder.iterdir()}
    world.run(client)
    lines = world.journal_path.read_text().splitlines(keepends=True)
    assert len(lines) == 16
    world.journal_path.write_text("".join(lines[:7]))  # killed in the middle of an image's two records
    for name, data in saved.items():
        (world.states_folder / name).write_bytes(data)
    world.run(client)
    check_answers(world, 8)
    check_paid_once(world, fake, 8)


def test_killed_again_and_again_nothing_is_lost_or_paid_twice(make_world, fake, client) -> None:
    count = 60
    world = make_world(count)
    fake.control(batch_line_s=0.01)
    rng = random.Random(3)
    _here, there = CONTEXT.Pipe()
    kills = 0
    for _ in range(6):
        started = len(world.states())
        process = CONTEXT.Process(target=run_apart, args=(world.out, world.images, fake.environment, there))
        process.start()
        deadline = time.monotonic() + 20
        while process.is_alive() and len(world.states()) == started and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join(60)
        assert process.exitcode is not None
    assert kills >= 3
    world.run(client, max_requests=7)
    check_answers(world, count)
    check_paid_once(world, fake, count)
    assert not [path for path in world.states_folder.iterdir() if path.name.endswith((".jsonl", ".tmp"))]

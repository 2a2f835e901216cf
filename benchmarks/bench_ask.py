#!/usr/bin/env python3
"""How close does `pixelbrain ask` come to the limit, and how far from Ray Data's own HTTP processor?

    python benchmarks/bench_ask.py [--quick] [--json FILE]

One question about each of 1,500 plain images, to the tests' fake of the OpenAI API with 1 s of latency and no rate
limit, with 64 requests in flight at most: 64 rows/s cannot be exceeded. In one run on one machine:
- plain, the limit: an asyncio loop with a semaphore, the same SDK, and bodies that were made beforehand.
- ours: `engine.ask.run.ask`, what `pixelbrain ask` calls, with 1, 4 and 16 actors: images are read, scaled down and
  encoded, permits leased, answers checked and journalled.
- ray: the HTTP processor of ray.data.llm over the same bodies. A batch of it sends one request after the other, and an
  actor has a few batches under way, so it gets 16 actors and small batches: 64 in flight, as the others.

The steady rate is of the fake's log of requests: when the last one arrives, all but those in flight are answered, so
(rows - 64) / (last arrival - first arrival). Ray's start does not count in it, but that some actors are up before
others does. The rate in the middle half of that time is without either;
requests come in waves of 64, so it can be off by one wave, 5 % of 1,500 rows. In the cold rate everything counts.
The limiter's work a request is timed without a server: leases and settlements of 20,000 requests, 64 in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the fake is with the tests

from _machine import machine, print_table, versions, write_json

from tests.fake_openai.running import FakeOpenAI
from tests.integration.asking.landed import land_plain_images

CONCURRENCY = 64
LATENCY_MS = 1000.0
ACTORS = (1, 4, 16)
RAY_ACTORS, RAY_BATCH, RAY_BATCHES = 16, 4, 4  # 4 batches at once are Ray Data's default
LIMITER_REQUESTS = 20_000


@dataclass(frozen=True)
class Run:
    """What one way of asking came to."""

    steady: float  # rows/s
    middle: float  # rows/s in the middle half of the time: without the actors' start and without the last ones
    cold: float  # rows/s
    in_flight: int  # the most that the fake saw at once


def measure(fake: FakeOpenAI, rows: int, function: Callable[[], None], started_s: float = 0.0) -> Run:
    """Run `function`, which asks about `rows` images; `started_s` is what Ray's start took, for the cold rate."""
    fake.reset()
    began = time.perf_counter()
    function()
    seconds = time.perf_counter() - began + started_s
    stats = fake.stats()
    if stats["answered_distinct"] != rows or stats["by_status"] != {"200": rows}:
        raise RuntimeError(f"{rows} rows were to be answered once each: {stats}")
    times = sorted(entry["at"] for entry in fake.requests())
    span = times[-1] - times[0]
    middle = sum(0.25 * span <= at - times[0] < 0.75 * span for at in times) / (span / 2)
    return Run((rows - CONCURRENCY) / span, middle, rows / seconds, stats["in_flight_max"])


def gpt4v(actors: int = 1) -> Any:
    """The module with the one question that everybody asks."""
    import pixelbrain as pb

    return pb.Gpt4VModule(
        "How wide is it?",
        field="width_px",
        answer="int",
        concurrency=CONCURRENCY,
        actors=actors,
        rpm=1e6,  # more than there is: with limits known, no first request goes alone to learn them
        tpm=1e12,
    )


def make_bodies(photos: list[Path]) -> list[dict[str, Any]]:
    """The requests that `pixelbrain ask` sends about these images."""
    from pixelbrain.asking.request.body import build_body
    from pixelbrain.asking.request.photo import data_url, prepare_photo

    module = gpt4v()
    settings, bodies = module.settings, []
    for path in photos:
        jpeg, _size = prepare_photo(path.read_bytes(), price=module.price, detail=settings.detail, image_id=path.name)
        bodies.append(build_body(settings, settings.questions, data_url(jpeg)))
    return bodies


async def plain(bodies: list[dict[str, Any]]) -> None:
    """A loop without any framework."""
    import openai

    free = asyncio.Semaphore(CONCURRENCY)
    async with openai.AsyncOpenAI(max_retries=0) as client:

        async def ask_one(body: dict[str, Any]) -> int:
            async with free:
                reply = await client.chat.completions.create(**body)
            return json.loads(reply.choices[0].message.content)["width_px"]

        await asyncio.gather(*(ask_one(body) for body in bodies))


def ours(folder: Path, rows: int, actors: int) -> None:
    """`pixelbrain ask`, on the Ray that runs."""
    from pixelbrain.engine.ask.run import ask
    from pixelbrain.landing.landing import Landing

    module = gpt4v(actors)
    report = ask(Landing(folder / "out"), module.settings, module.price, module.limits)
    if report.statuses != {"ok": rows}:
        raise RuntimeError(f"not all {rows} rows were answered: {report.statuses}")


def ray_llm(bodies: list[dict[str, Any]], fake: FakeOpenAI) -> None:
    """Ray Data's HTTP processor, on the Ray that runs. The bodies travel as text: Arrow has no type for them."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    config = HttpRequestProcessorConfig(
        url=f"{fake.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {fake.key}"},
        batch_size=RAY_BATCH,
        concurrency=(RAY_ACTORS, RAY_ACTORS),
        http_request_stage={"num_cpus": 0.05},  # they wait; as many processors as actors are not everywhere
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {"payload": json.loads(row["body"])},
        postprocess=lambda row: {"answer": row["http_response"]["choices"][0]["message"]["content"]},
    )
    blocks = max(RAY_ACTORS, len(bodies) // (RAY_BATCH * RAY_BATCHES))
    texts = [{"body": json.dumps(body)} for body in bodies]
    answers = processor(ray.data.from_items(texts, override_num_blocks=blocks)).take_all()
    if len(answers) != len(bodies):
        raise RuntimeError(f"{len(answers)} answers to {len(bodies)} questions")


def ray_llm_measured(fake: FakeOpenAI, bodies: list[dict[str, Any]], started_s: float) -> tuple[Run | None, str]:
    """Its run, or why there is none: ray.data.llm needs packages that are not Pixelbrain's."""
    try:
        from ray.data import llm  # noqa: F401  # its imports are what may be missing
    except ImportError as error:
        return None, f"not run: {error}"
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure(fake, len(bodies), lambda: ray_llm(bodies, fake), started_s), ""


def limiter_us() -> float:
    """Microseconds that the limiter works on one request: a lease and a settlement, by a clock of its own."""
    from pixelbrain.asking.limits.leases import Granted, Settlement, Want
    from pixelbrain.asking.limits.limiter import RateLimiter
    from pixelbrain.asking.request.headers import RateHeaders

    rpm, tpm, tokens, usd = 1_000_000, 1_000_000_000, 400, Decimal("0.0001")
    limiter = RateLimiter(rpm=rpm, tpm=tpm, budget_usd=Decimal(1_000_000), seed=0)
    want, permits = [Want(tokens, usd)], []
    began = time.perf_counter()
    for index in range(LIMITER_REQUESTS):
        now = index / 1000  # 1,000 requests a second, far below the limits: nobody waits
        if index >= CONCURRENCY:
            limits = RateHeaders.parse(
                {
                    "x-ratelimit-limit-requests": str(rpm),
                    "x-ratelimit-limit-tokens": str(tpm),
                    "x-ratelimit-remaining-requests": str(rpm - index),
                    "x-ratelimit-remaining-tokens": str(tpm - index * tokens),
                }
            )
            limiter.settle(now, [Settlement(permits[index - CONCURRENCY], tokens - 50, usd / 2, limits)])
        answer = limiter.lease(now, want)
        if not isinstance(answer, Granted):
            raise RuntimeError(f"request {index} was to be permitted: {answer}")
        permits += answer.permits
    return (time.perf_counter() - began) / LIMITER_REQUESTS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--quick", action="store_true", help="300 rows: a look, no figure to quote")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    rows = 300 if args.quick else args.rows
    if rows < 4 * CONCURRENCY:
        parser.error(f"--rows is {rows}: at least {4 * CONCURRENCY}, or there is no steady rate to see")

    per_request_us = limiter_us()
    with tempfile.TemporaryDirectory() as temporary, FakeOpenAI(latency_ms=LATENCY_MS) as fake:
        os.environ.update(fake.environment)
        os.environ.pop("RAY_ADDRESS", None)  # a Ray of our own: the figures are of this machine
        root = Path(temporary)
        folders = {actors: root / str(actors) for actors in ACTORS}
        for folder in folders.values():  # one each: what is answered in one is not asked again
            land_plain_images(folder, rows)
        bodies = make_bodies(sorted((folders[1] / "photos").iterdir()))
        limit = measure(fake, rows, lambda: asyncio.run(plain(bodies)))

        from pixelbrain.engine.cluster.session import ray_session

        began = time.perf_counter()
        with ray_session():
            started_s = time.perf_counter() - began
            runs = {
                actors: measure(fake, rows, lambda a=actors, f=folder: ours(f, rows, a), started_s)
                for actors, folder in folders.items()
            }
            peer, why_not = ray_llm_measured(fake, bodies, started_s)

    figures = {
        "ask.plain.rows_per_s": limit.steady,
        "ask.plain.middle.rows_per_s": limit.middle,
        "ask.plain.cold.rows_per_s": limit.cold,
        "ask.in_flight_max.plain": limit.in_flight,
        "ask.limiter.us_per_request": per_request_us,
    }
    table = [["plain asyncio loop, the limit", limit.steady, limit.middle, limit.cold, "1.00", limit.in_flight]]
    for actors, run in runs.items():
        name = f"{actors}_actor{'s' if actors > 1 else ''}"
        figures[f"ask.{name}.rows_per_s"] = run.steady
        figures[f"ask.{name}.middle.rows_per_s"] = run.middle
        figures[f"ask.{name}.cold.rows_per_s"] = run.cold
        figures[f"ask.in_flight_max.{name}"] = run.in_flight
        figures["ask.vs_plain_loop" if actors == 1 else f"ask.{name}.vs_plain_loop"] = run.steady / limit.steady
        label = f"pixelbrain ask, {name.replace('_', ' ')}"
        table.append([label, run.steady, run.middle, run.cold, f"{run.steady / limit.steady:.2f}", run.in_flight])
    if peer is None:
        table.append([f"ray.data.llm, {why_not}", "", "", "", "", ""])
    else:
        figures["ask.ray_llm.rows_per_s"] = peer.steady
        figures["ask.ray_llm.middle.rows_per_s"] = peer.middle
        figures["ask.ray_llm.cold.rows_per_s"] = peer.cold
        figures["ask.in_flight_max.ray_llm"] = peer.in_flight
        figures["ask.ray_llm.vs_plain_loop"] = peer.steady / limit.steady
        figures["ask.vs_ray_llm"] = runs[1].steady / peer.steady
        figures["ask.vs_ray_llm.middle"] = runs[1].middle / peer.middle
        label = f"ray.data.llm's HTTP processor, {RAY_ACTORS} actors"
        table.append([label, peer.steady, peer.middle, peer.cold, f"{peer.steady / limit.steady:.2f}", peer.in_flight])
    headers = ["64 at once, 1 s of latency", "rows/s", "in the middle", "cold", "of the limit", "in flight, most"]
    print_table(headers, table)
    print(f"{rows} rows, Ray's start {started_s:.1f} s, limiter {per_request_us:.0f} us a request, {machine()}")
    if args.json:
        settings = {
            "rows": rows,
            "concurrency": CONCURRENCY,
            "latency_ms": LATENCY_MS,
            "ray_llm_actors": RAY_ACTORS,
            "ray_llm_batch": RAY_BATCH,
            "ray_llm_note": why_not,
            "limiter_requests": LIMITER_REQUESTS,
        }
        write_json(args.json, "ask", settings, figures, versions("pixelbrain", "ray", "openai", "pyarrow"))


if __name__ == "__main__":
    sys.exit(main())

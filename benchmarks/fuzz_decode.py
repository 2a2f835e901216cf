"""Fuzz the decoder: damaged images by the hundred thousand, and nothing but named errors may come out.

    uv run python benchmarks/fuzz_decode.py
    uv run python benchmarks/fuzz_decode.py --images 1000000 --workers 8 --seed 7 --save crashes/
    uv run python benchmarks/fuzz_decode.py --seed 7 --only 4711       # one of them again

The images are those of tests/hostile/, damaged by tests/hostile/mutate.py: the seed and a number make one. Each worker
is a process of its own. One that dies (a segmentation fault in a codec), or that needs more than --patience seconds for
an image, is ended and replaced, and its image is saved. Exit code 1 when anything but an `ImageError` came out.
"""

from __future__ import annotations

import argparse
import collections
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # the corpus is with the tests

from _machine import peak_memory_mb, print_table, versions, write_json

from pixelbrain.errors import ImageError
from pixelbrain.images.decode import DecodeTarget, decode_image
from tests.hostile.mutate import mutant

_REPORT_EVERY = 20  # images; what a worker did since its last report is not counted when it dies


@dataclass
class Tally:
    """What the workers found."""

    done: int = 0
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest: tuple[float, int] = (0.0, -1)  # seconds, number
    peak_mb: float = 0.0  # of one worker
    problems: list[tuple[int, str]] = field(default_factory=list)  # number, what


def decode(data: bytes, number: int) -> str:
    """Decode one damaged image: "decoded", or the name of its error. Raises what is no `ImageError`."""
    try:
        image = decode_image(data, target=DecodeTarget(short_side_px=16) if number % 2 else DecodeTarget())
    except ImageError as error:
        return type(error).__name__
    height, width, channels = image.pixels.shape
    if channels != 3 or image.pixels.dtype != "uint8" or not 0 < width <= image.width or not 0 < height <= image.height:
        raise AssertionError(f"pixels of {image.pixels.shape} {image.pixels.dtype} for {image.width} x {image.height}")
    return "decoded"


def work(seed: int, numbers: range, current: Any, results: multiprocessing.connection.Connection) -> None:
    """A worker: `current` is the number that it is at, for those who find it dead."""
    os.nice(19)
    logging.disable()  # Pillow's own notes about what is wrong
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # and libtiff's, which it writes itself
    found: collections.Counter[str] = collections.Counter()
    slowest, problems = (0.0, -1), []
    for count, number in enumerate(numbers, 1):
        _, data = mutant(seed, number)
        current.value = number
        started = time.perf_counter()
        try:
            found[decode(data, number)] += 1
        except Exception as error:  # what the fuzzer is for
            problems.append((number, f"{type(error).__name__}: {error}"))
        slowest = max(slowest, (time.perf_counter() - started, number))
        if count % _REPORT_EVERY == 0 or count == len(numbers):
            results.send((found, slowest, problems, peak_memory_mb()))
            found, problems = collections.Counter(), []


class Worker:
    """A worker process, and what is left for it to do."""

    def __init__(self, seed: int, numbers: range) -> None:
        context = multiprocessing.get_context("spawn")
        self.numbers = numbers
        self.current = context.Value("q", -1, lock=False)
        self.results, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(seed, numbers, self.current, sender), daemon=True)
        self.process.start()
        sender.close()  # so that a dead worker's end is seen here
        self._seen, self._seen_at = -1, time.monotonic()

    def stalled(self, patience_s: float) -> bool:
        """Whether it has been at the same image for too long; starting up has a minute more."""
        if self.current.value != self._seen:
            self._seen, self._seen_at = self.current.value, time.monotonic()
        return time.monotonic() - self._seen_at > patience_s + (60 if self._seen < 0 else 0)

    def end(self) -> int | None:
        """End it, and say how it ended."""
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode

    def rest(self) -> range:
        """What is left behind the image that it ended at."""
        return self.numbers[self.numbers.index(self.current.value) + 1 :] if self.current.value >= 0 else range(0)


def fuzz(seed: int, images: int, workers: int, patience_s: float, tell: Callable[[Tally], None]) -> Tally:
    """Decode `images` damaged images in `workers` processes."""
    tally = Tally()
    running = [Worker(seed, range(first, images, workers)) for first in range(min(workers, images))]
    while running:
        ready = multiprocessing.connection.wait([worker.results for worker in running], timeout=1)
        for worker in list(running):
            ended = None
            if worker.results in ready:
                try:
                    found, slowest, problems, peak_mb = worker.results.recv()
                except EOFError:
                    ended = worker.end()
                else:
                    tally.outcomes.update(found)
                    tally.slowest = max(tally.slowest, slowest)
                    tally.problems += problems
                    tally.peak_mb = max(tally.peak_mb, peak_mb)
                    tally.done += found.total() + len(problems)
                    tell(tally)
            elif worker.stalled(patience_s):
                ended = worker.end()
            if ended is None:
                continue
            running.remove(worker)
            if ended:
                what = f"killed by signal {-ended}" if ended < 0 else f"exit code {ended}"
                tally.problems.append((worker.current.value, what))
                if rest := worker.rest():
                    running.append(Worker(seed, rest))
    return tally


def main() -> int:
    """Run it, print one table, and save what should not have happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, help="damaged images (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a CPU)")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--patience", type=float, default=30, help="seconds for one image (default %(default)s)")
    parser.add_argument("--save", type=Path, default=Path("fuzz_findings"), help="folder for findings")
    parser.add_argument("--only", type=int, help="decode one number in this process, and show its error")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"seed {seed}")
    if options.only is not None:
        name, data = mutant(seed, options.only)
        print(f"{name}: {decode(data, options.only)}")
        return 0

    def tell(tally: Tally) -> None:
        print(f"\r{tally.done:,} of {options.images:,}, {len(tally.problems)} problems", end="", file=sys.stderr)

    started = time.monotonic()
    tally = fuzz(seed, options.images, options.workers, options.patience, tell)
    seconds = time.monotonic() - started
    print(file=sys.stderr)
    for number, what in tally.problems:
        options.save.mkdir(parents=True, exist_ok=True)
        name, data = mutant(seed, number)
        path = options.save / f"{seed}-{number}-{name}"
        path.write_bytes(data)
        print(f"{path}: {what}")
    figures = {
        "fuzz.images": tally.done,
        "fuzz.decoded": tally.outcomes["decoded"],
        "fuzz.named_errors": tally.outcomes.total() - tally.outcomes["decoded"],
        "fuzz.problems": len(tally.problems),
        "fuzz.images_per_s": tally.done / seconds,
        "fuzz.slowest_s": tally.slowest[0],
        "fuzz.slowest_number": tally.slowest[1],
        "fuzz.peak_memory_mb": tally.peak_mb,
        **{f"fuzz.outcome.{name}": count for name, count in tally.outcomes.most_common()},
    }
    print_table(["", "figure"], list(figures.items()))
    if options.json:
        settings = {"seed": seed, "workers": options.workers, "images": options.images}
        write_json(options.json, "fuzz_decode", settings, figures, versions("pillow", "numpy"))
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())

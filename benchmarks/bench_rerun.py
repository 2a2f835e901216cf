"""What a command costs that has nothing to do: O(what is new), and not O(all that is there).

    python benchmarks/bench_rerun.py [--images 10000 --images 100000] [--quick] [--json FILE]

Rows are landed without models: photos with a label and a face each, people of 20 photos, and the empty files that they
are about. Then each command runs once, "first", and once more, "again", with nothing new in between. Seconds are of the
clock and of the processor, GiB the most that the command and all that it started (mongod, too) held at one time, what
they share counted once. `rerun.1m.seconds` and `rerun.1m.peak_gib` (of another number of images, 100k or 10k) are of
status, load and report again, together. From a million on, one photo of `VECTORS_EVERY` has vectors: ChromaDB would
take an hour for the first load. Each photo has its document, its face in the gallery and its thumbnails all the same.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from _machine import machine, print_table, versions, write_json
from synthetic_rows import land_people

TURNS = ("first", "again")
QUICK, FULL = (2_000,), (10_000, 100_000, 1_000_000)
CONTEXT = multiprocessing.get_context("spawn")
VECTORS_EVERY = 50
LOOK_S = 0.5  # between two looks at the memory of all processes
GOAL = ("status", "load", "report")  # together: 60 s and 2 GiB at a million


@dataclass(frozen=True)
class Cost:
    """Of one command."""

    seconds: float
    cpu_s: float
    peak_gib: float


def measure(*arguments: str) -> Cost:
    """Run `pixelbrain ...` as a user would."""
    command = [sys.executable, "-m", "pixelbrain", *arguments]
    # as an installed Python is: without its compiled files, the import of torch alone is 8 s
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        held: list[int] = [0]
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, held, done))
        watch.start()
        _, status, used = os.wait4(process.pid, 0)  # with what its children used that it waited for
        seconds = time.perf_counter() - started
        done.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"pixelbrain {' '.join(arguments)} failed:\n{said.read().decode(errors='replace')}")
    peak = max(*held, used.ru_maxrss * 1024)  # one process alone may have peaked between two looks
    return Cost(seconds, used.ru_utime + used.ru_stime, peak / 2**30)


def _watch(root: int, held: list[int], done: threading.Event) -> None:
    """Add up the bytes that a process and those below it hold, time and again, until it is done."""
    while not done.wait(LOOK_S):
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_full_info().pss
        held.append(total)


def commands(out: str, photos: str) -> dict[str, list[str]]:
    """By what the table calls them, in the order in which they run."""
    import pixelbrain

    face = Path(pixelbrain.__file__).parent / "samples" / "eileen-collins" / "nasa-portrait.jpg"
    return {
        "load": ["load", out],
        "identify": ["identify", out],
        "report": ["report", out],
        "run": ["run", photos, "--out", out, "--offline", "--module", "facenet"],
        "status": ["status", out],
        "export": ["export", out, f"{out}.csv"],
        "search": ["search", out, "--image", str(face)],
    }


def main() -> None:
    """Parse, land, run all commands twice, print a table a size, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, action="append", help="how many; repeatable [10,000 100,000 1,000,000]")
    parser.add_argument("--only", action="append", help="measure these commands alone; repeatable")
    parser.add_argument("--turn", action="append", choices=TURNS, help="of what is kept, this turn alone")
    parser.add_argument("--keep", metavar="DIR", help="land here, and keep it for the next time")
    parser.add_argument("--quick", action="store_true", help="2,000 images")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    turns = arguments.turn or TURNS
    figures: dict[str, float] = {}
    for images in arguments.images or (QUICK if arguments.quick else FULL):
        size = f"{images // 10**6}m" if images >= 10**6 else f"{images // 1000}k"
        with tempfile.TemporaryDirectory(prefix="bench-rerun-") as temporary:
            folder = Path(arguments.keep or temporary) / size
            if not (folder / "out").exists():
                # in another process: a child's peak begins with what its parent holds
                landed = (folder / "out", folder / "photos", images)
                every = {"vectors_every": VECTORS_EVERY if images >= 10**6 else 1}
                landing = CONTEXT.Process(target=land_people, args=landed, kwargs=every)
                landing.start()
                landing.join()
            chosen = commands(str(folder / "out"), str(folder / "photos"))
            chosen = {name: chosen[name] for name in arguments.only or chosen}
            costs = {(name, turn): measure(*chosen[name]) for turn in turns for name in chosen}
        for (name, turn), cost in costs.items():
            figures |= {f"rerun.{size}.{name}.{turn}.{key}": value for key, value in vars(cost).items()}
        if "again" in turns and all(name in chosen for name in GOAL):
            goal = [costs[name, "again"] for name in GOAL]
            figures[f"rerun.{size}.seconds"] = sum(cost.seconds for cost in goal)
            figures[f"rerun.{size}.peak_gib"] = max(cost.peak_gib for cost in goal)
        print(f"\n{images:,} images\n")
        print_table(
            ["", *(header for turn in turns for header in (f"{turn} s", "CPU s", "GiB"))],
            [[name, *(v for turn in turns for v in vars(costs[name, turn]).values())] for name in chosen],
        )
    here = machine()  # it imports torch; a child's peak begins with what its parent holds
    print(f"\n{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}")
    if arguments.json:
        settings = {"quick": arguments.quick, "commands": arguments.only or "all"}
        write_json(arguments.json, "rerun", settings, figures, versions("pyarrow", "chromadb", "pymongo", "numpy"))


if __name__ == "__main__":
    main()

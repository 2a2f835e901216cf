#!/usr/bin/env python3
"""How much memory does a run take as its work grows: 2,000, 20,000 and 100,000 images through `extract` on Ray?

    python benchmarks/bench_memory.py [--quick] [--json FILE]

Each run is a process of its own that lists, decodes and lands small JPEGs with a vector of 512 numbers each, by a
module without a model, so that what is kept is what the pipeline keeps. Twice a second all its processes are added up,
the driver, the workers and Ray's own: what each holds in memory, shared pages once (Linux's PSS). The object store is
the part of it that is mapped from /dev/shm: what a run has ever put there. "files" is what landed, on disk.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _machine import machine, print_table, versions, write_json
from _small_images import make_small_images, nothing

FULL, QUICK = (2_000, 20_000, 100_000), (500, 2_500)
SIDE_PX, DIM = 64, 512
LOOK_S = 0.5
CONTEXT = multiprocessing.get_context("spawn")  # a fork would begin with what this process holds


@dataclass
class Peak:
    """The most that a tree of processes held at one time, and what each kind of them did then, in bytes."""

    total: int = 0
    store: int = 0  # its own peak, whenever that was
    by_kind: Mapping[str, int] = field(default_factory=dict)

    def look(self, root: int) -> None:
        """Add up what is there now."""
        kinds: collections.Counter[str] = collections.Counter()
        with contextlib.suppress(psutil.Error):
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    maps, kind = process.memory_maps(grouped=True), _kind(process, root)
                    store = sum(one.pss for one in maps if one.path.startswith("/dev/shm/"))
                    kinds["object store"] += store
                    kinds[kind] += sum(one.pss for one in maps) - store
        self.store = max(self.store, kinds["object store"])
        if kinds.total() > self.total:
            self.total, self.by_kind = kinds.total(), kinds


def _kind(process: psutil.Process, root: int) -> str:
    """What a process is: workers have a title with what they do, which ends in nothing that we want."""
    if process.pid == root:
        return "driver"
    title = process.cmdline()[:1]
    return "worker" if title and title[0].startswith("ray::") else "Ray's own"


def run(photos: str, out: str) -> None:
    """The run, in a process of its own."""
    import pixelbrain as pb
    from pixelbrain.config import Placement

    pipeline = pb.Pipeline(pb.DataLoader(photos), [nothing(DIM)], placement=Placement(executor="ray", device="cpu"))
    report = pipeline.extract(out)
    assert report.done == report.listed and not report.failed


def measure(folder: Path, images: int) -> tuple[Peak, float, int]:
    """The peak of a run of so many images, its seconds, and bytes that landed. `folder` is an empty one."""
    make_small_images(folder / "photos", images, side_px=SIDE_PX)
    started, peak = time.perf_counter(), Peak()
    process = CONTEXT.Process(target=run, args=(str(folder / "photos"), str(folder / "out")))
    process.start()
    while process.is_alive():
        peak.look(process.pid)
        process.join(LOOK_S)
    if process.exitcode:
        sys.exit(f"the run of {images:,} images ended with {process.exitcode}")
    landed = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file())
    return peak, time.perf_counter() - started, landed


def main() -> None:
    """Parse, run all sizes, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="500 and 2,500 images")
    parser.add_argument("--images", type=int, action="append", help="how many; repeatable [2,000 20,000 100,000]")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    sizes = arguments.images or (QUICK if arguments.quick else FULL)
    figures: dict[str, float] = {}
    rows: list[list[object]] = []
    for images in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:  # gone before the next one's is made
            peak, seconds, landed = measure(Path(name), images)
        size = f"{images // 1000}k" if images % 1000 == 0 else str(images)
        kinds = ["driver", "worker", "Ray's own"]
        held = {kind.replace(" ", "_").replace("'", ""): peak.by_kind.get(kind, 0) / 2**30 for kind in kinds}
        figures |= {f"memory.{size}.at_peak.{kind}_gib": value for kind, value in held.items()}
        figures |= {f"memory.{size}.peak_gib": peak.total / 2**30, f"memory.{size}.store_mib": peak.store / 2**20}
        figures |= {f"memory.{size}.seconds": seconds, f"memory.{size}.landed_gib": landed / 2**30}
        rows.append([f"{images:,} images", peak.total / 2**30, *held.values(), landed / 2**30, peak.store / 2**20])
        print(f"{images:,} images: {peak.total / 2**30:.2f} GiB, {seconds:.0f} s", file=sys.stderr, flush=True)
    for smaller, larger in (("2k", "20k"), ("20k", "100k")):
        if {f"memory.{size}.peak_gib" for size in (smaller, larger)} <= figures.keys():
            growth = figures[f"memory.{larger}.peak_gib"] / figures[f"memory.{smaller}.peak_gib"]
            figures[f"memory.growth_{smaller}_to_{larger}"] = growth
    if "memory.100k.peak_gib" in figures:
        figures["memory.peak_gib_100k"] = figures["memory.100k.peak_gib"]
    headers = ["GiB, PSS", "peak", "driver", "workers", "Ray's own", "files", "object store at most, MiB"]
    print_table(headers, rows)
    for name, value in figures.items():
        if name.startswith("memory.growth"):
            print(f"{name}: {value:.3f}")
    print(machine())
    if arguments.json:
        settings = {"images": list(sizes), "quick": arguments.quick, "side_px": SIDE_PX, "dim": DIM, "of": "PSS"}
        write_json(arguments.json, "memory", settings, figures, versions("ray", "pyarrow", "numpy"))


if __name__ == "__main__":
    main()

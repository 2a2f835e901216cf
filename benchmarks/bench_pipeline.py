#!/usr/bin/env python3
"""What does the pipeline itself cost: a module that does nothing, beside threads that read and decode, and no more?

    python benchmarks/bench_pipeline.py [--quick] [--images N] [--json FILE]

20,000 JPEGs of 256 px, from disk and from an S3 server on this machine (rclone), in turns; medians of the repeats:
- bare: one process whose threads, as many as our one actor has, read and decode to RGB by Pillow. Nothing is listed,
  and nothing lands. From S3 they use boto3's client as it is.
- ours: `Pipeline.extract` from a tenth of the images to the last, so that starting is left out (bench_startup.py). It
  lists, hashes, decodes with every format's and orientation's care, and lands a row an image; without the gallery's
  thumbnails, which are work that the bare loop does not do either. Without Ray; on Ray; on Ray, staged.

CPU is that of all processes for an image meanwhile: this one, workers, those that end before the last image, as staged
pools do, and Ray's own (the S3 server's not). The second table says where it goes, step by step, without Ray
(`_costs_pipeline.py`); Ray's is the difference of two runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the S3 server is with the tests

from _costs_pipeline import bare_decode, steps
from _costs_reading import s3_key
from _cpu import CpuWatch
from _machine import machine, print_table, versions, write_json
from _small_images import SIDE_PX, make_small_images, nothing

from tests.integration.s3_servers import rclone_server

IMAGES, QUICK_IMAGES = 20_000, 3_000
COSTS_IMAGES = 2_000
PLACES = ("disk", "s3")
WARM = 256  # images that the bare loop does before it is timed
OURS = {  # by name: executor, layout
    "ours, without Ray": ("local", "fused"),
    "ours, on Ray": ("ray", "fused"),
    "ours, on Ray, staged": ("ray", "staged"),
}


@dataclass
class Rates:
    """Of one way, a value a repeat."""

    images_per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # an image, of all processes

    def add(self, images: int, seconds: float, cpu_s: float) -> None:
        """What a repeat did while it was timed."""
        self.images_per_s.append(images / seconds)
        self.cpu_us.append(cpu_s / images * 1e6)


def bare(read: Callable[[str], bytes], names: list[str], threads: int, cpu: CpuWatch) -> tuple[int, float, float]:
    """Images, seconds and CPU seconds of threads that read and decode."""
    with ThreadPoolExecutor(threads) as pool:

        def work(some: list[str]) -> None:
            for _ in pool.map(lambda name: bare_decode(read(name)).shape, some):  # the pixels are not kept
                pass

        work(names[:WARM])
        started, used = time.perf_counter(), cpu.seconds()
        work(names[WARM:])
        return len(names) - WARM, time.perf_counter() - started, cpu.seconds() - used


def ours(source: str, endpoint: str | None, images: int, way: str, cpu: CpuWatch) -> tuple[int, float, float]:
    """The same of our engine, from the tenth of the images at which all its workers have started, to the last."""
    import pixelbrain as pb
    from pixelbrain.config import Placement

    executor, layout = OURS[way]
    told: list[tuple[int, float, float]] = []

    def progress(done: int, _total: int, _failed: int) -> None:
        if done >= images / 10 and (not told or done == images):  # a look at all processes takes as long as many images
            told.append((done, time.perf_counter(), cpu.seconds()))

    loader = pb.DataLoader(source, s3_endpoint=endpoint)
    placement = Placement(executor=executor, layout=layout, device="cpu")
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as out:
        report = pb.Pipeline(loader, [nothing()], placement=placement).extract(out, thumbnails=False, progress=progress)
    assert report.done == images and not report.failed
    first, last = told[:2]
    return tuple(b - a for a, b in zip(first, last, strict=True))  # type: ignore[return-value]


def s3_reader(endpoint: str, bucket: str, threads: int) -> Callable[[str], bytes]:
    """boto3's client, and nothing around it."""
    import boto3
    from botocore.config import Config

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        config=Config(max_pool_connections=max(10, threads), s3={"addressing_style": "path"}),
    )
    return lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()


@contextlib.contextmanager
def s3_server(root: Path) -> Iterator[tuple[str, int]]:
    """The folder's folders as buckets: the server's address, and its process."""
    there = {child.pid for child in psutil.Process().children()}
    with rclone_server(root) as url, s3_key():
        (server,) = [child.pid for child in psutil.Process().children() if child.pid not in there]
        yield url, server


def measure(root: Path, repeats: int, only: Sequence[str]) -> dict[str, dict[str, Rates]]:
    """By where the images are and by who reads them, in turns; `root`/photos has the images."""
    threads = len(psutil.Process().cpu_affinity())
    files = sorted(map(str, (root / "photos").rglob("*.jpg")))
    keys = [str(Path(file).relative_to(root / "photos")) for file in files]
    found: dict[str, dict[str, Rates]] = {}
    with s3_server(root) as (url, server), CpuWatch(os.getpid(), but=server) as cpu:
        places = {
            "disk": (str(root / "photos"), None, files, lambda file: Path(file).read_bytes()),
            "s3": ("s3://photos", url, keys, s3_reader(url, "photos", threads)),
        }
        for _ in range(repeats):
            for place in only:
                source, endpoint, names, read = places[place]
                rates = found.setdefault(place, {})
                for way in ("bare", *OURS):
                    done = (
                        bare(read, names, threads, cpu)
                        if way == "bare"
                        else ours(source, endpoint, len(names), way, cpu)
                    )
                    rates.setdefault(way, Rates()).add(*done)
                    print(f"{place}, {way}: {rates[way].images_per_s[-1]:.0f}/s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Parse, measure, print both tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3,000 images, once")
    parser.add_argument("--images", type=int, help="how many [20,000]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--place", action="append", choices=PLACES, help="repeatable [both]")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    images = arguments.images or (QUICK_IMAGES if arguments.quick else IMAGES)
    repeats = 1 if arguments.quick else arguments.repeats
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as name:
        root = Path(name)
        make_small_images(root / "photos", images)
        found = measure(root, repeats, arguments.place or PLACES)
        (root / "out").mkdir()
        few = make_small_images(root / "few", COSTS_IMAGES)
        costs = steps(few, root / "out")
    figures: dict[str, float] = {}
    rows: list[list[object]] = []
    for place, ways in found.items():
        middle = {way: (statistics.median(r.images_per_s), statistics.median(r.cpu_us)) for way, r in ways.items()}
        for way, (rate, cpu) in middle.items():
            dotted = f"pipeline.{place}.{way.removeprefix('ours, ').replace(', ', '_').replace(' ', '_').lower()}"
            ratio = statistics.median(
                a / b for a, b in zip(ways[way].images_per_s, ways["bare"].images_per_s, strict=True)
            )
            rows.append([f"{place}, {way}", rate, ratio, cpu, cpu - middle["bare"][1]])
            figures |= {f"{dotted}.images_per_s": rate, f"{dotted}.vs_bare": ratio, f"{dotted}.cpu_us": cpu}
    for place in found:
        name = "pipeline.vs_bare_reader" if place == "disk" else f"pipeline.{place}_vs_bare_reader"
        figures[name] = figures[f"pipeline.{place}.on_ray.vs_bare"]
        costs[f"Ray, from {place}"] = (
            figures[f"pipeline.{place}.on_ray.cpu_us"] - figures[f"pipeline.{place}.without_ray.cpu_us"]
        )
    figures |= {f"pipeline.us.{step.translate(_PLAIN)}": value for step, value in costs.items()}
    print_table(["from", "images/s", "of the bare loop", "CPU us an image", "more than bare"], rows)
    print()
    print_table(["an image, in", "us of a core"], [[step, value] for step, value in costs.items()])
    print(machine())
    if arguments.json:
        settings = {"images": images, "repeats": repeats, "side_px": SIDE_PX, "quick": arguments.quick}
        write_json(arguments.json, "pipeline", settings, figures, versions("ray", "pyarrow", "pillow", "boto3"))


_PLAIN = str.maketrans({" ": "_", ":": None, ",": None, "'": None})

if __name__ == "__main__":
    main()

"""How much does an interrupted run lose, double or do again? 100,000 image rows, and a SIGKILL every few minutes.

The images are links to a few thousand files; the module takes as long as a model would, and writes down what it looks
at. Driver, worker and raylet are killed in turn, at random moments, until every image has landed; then everything is
loaded, the loader is killed once too, and `pixelbrain verify` compares the stores with Parquet.

    python benchmarks/soak.py --json soak.json            # half an hour and more
    python benchmarks/soak.py --images 2000 --every 20    # a try
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from _machine import machine, print_table, versions, write_json
from PIL import Image

MODULE = """
import os
import time

import pyarrow as pa

from pixelbrain import PipelineModule


class Soak(PipelineModule):
    name = "soak"
    by_name = True  # many names for a few files: each is to be looked at

    def fields(self):
        return [pa.field("pixels", pa.int64())]

    def process(self, image):
        with open({log!r}, "a") as log:
            log.write(f"{{os.getpid()}} {{image.image_id}}\\n")
        time.sleep({seconds})
        return {{"pixels": image.width * image.height}}
"""

VICTIMS = ("driver", "worker", "raylet")


class Soak:
    """The folder of a soak, and its running command."""

    def __init__(self, folder: Path, service_s: float) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.log = folder / "log"
        self.log.touch()
        (folder / "soak_module.py").write_text(MODULE.format(log=str(self.log), seconds=service_s))
        self.peak_mb: Counter[str] = Counter()
        self.process: subprocess.Popen | None = None

    def make_photos(self, images: int, files: int, rng: random.Random) -> None:
        """So many names for so many small photos, a thousand a folder."""
        originals = self.folder / "originals"
        originals.mkdir()
        noise = np.random.default_rng(rng.randrange(2**32))
        for number in range(files):
            pixels = noise.integers(0, 255, (48 + number % 7, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(originals / f"{number}.jpg")
        for number in range(images):
            folder = self.photos / f"{number // 1000:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:06d}.jpg").symlink_to(originals / f"{number % files}.jpg")

    def start(self, *arguments: str) -> subprocess.Popen:
        """A command of ours, with a Ray of its own."""
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "pixelbrain"), *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "stderr", "ab"),  # noqa: SIM115  (closed with us)
        )
        return self.process

    def extract(self) -> subprocess.Popen:
        """The command under test."""
        return self.start(
            "extract",
            str(self.photos),
            "--out",
            str(self.out),
            "--module",
            "soak_module:Soak",
            "--device",
            "cpu",
            "--executor",
            "ray",
        )

    def kill(self, victim: str) -> bool:
        """SIGKILL the driver, the worker that looked at the last image, or the raylet; False if it is not there."""
        assert self.process is not None
        driver = psutil.Process(self.process.pid)
        if victim == "driver":
            driver.kill()
            return True
        for child in driver.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                named = "raylet" in child.name() if victim == "raylet" else child.pid == self.last_worker()
                if named:
                    child.kill()
                    return True
        return False

    def last_worker(self) -> int:
        """The process that looked at an image last; 0 before the first."""
        with open(self.log, "rb") as log:
            log.seek(max(0, log.seek(0, 2) - 500))
            lines = log.read().splitlines()
        return int(lines[-1].split()[0]) if lines else 0

    def watch_memory(self, done: threading.Event) -> None:
        """Keep the most that the driver, and any one of its children, held."""
        while not done.wait(1):
            process = self.process
            if process is None or process.poll() is not None:
                continue
            with contextlib.suppress(psutil.Error):
                driver = psutil.Process(process.pid)
                self._peak("driver", driver)
                for child in driver.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        self._peak("worker" if child.name().startswith("ray::") else "other", child)

    def _peak(self, who: str, process: psutil.Process) -> None:
        self.peak_mb[who] = max(self.peak_mb[who], process.memory_info().rss / 1e6)


def wait_until(process: subprocess.Popen, moment: float) -> bool:
    """Whether the process was still running then."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, moment - time.monotonic()))
        return False
    return True


def soak(world: Soak, every_s: float, rng: random.Random) -> Counter[str]:
    """Run, kill and run again until everything has landed. Returns the kills by victim."""
    kills: Counter[str] = Counter()
    while True:
        process = world.extract()
        while wait_until(process, time.monotonic() + rng.uniform(0.6, 1.4) * every_s):
            victim = VICTIMS[sum(kills.values()) % len(VICTIMS)]
            if world.kill(victim):
                kills[victim] += 1
                print(f"{time.strftime('%H:%M:%S')} killed the {victim}", flush=True)
            if victim != "worker":  # the run goes on without a worker of its; not without the others
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                if process.poll() is None:
                    process.kill()
                    process.wait()
                break
        else:
            if process.returncode == 0:
                return kills
            print(f"{time.strftime('%H:%M:%S')} ended with {process.returncode}", flush=True)


def load_and_verify(world: Soak, rng: random.Random) -> bool:
    """Load, with one kill on the way, and compare; whether all agrees."""
    out = str(world.out)
    if wait_until(world.start("load", out), time.monotonic() + rng.uniform(3, 8)):
        world.kill("driver")
        assert world.process is not None
        world.process.wait()
    for arguments in (("load", out), ("verify", out)):
        process = world.start(*arguments)
        if process.wait() != 0:
            return False
    return True


def main() -> int:
    """Soak, count, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=3_000)
    parser.add_argument("--every", type=float, default=150, metavar="SECONDS", help="between kills, on average")
    parser.add_argument("--service-ms", type=float, default=18, help="a model's time for an image")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    print(f"seed {seed}", flush=True)

    import pixelbrain as pb

    with tempfile.TemporaryDirectory(prefix="pixelbrain-soak-") as temporary:
        world = Soak(Path(temporary), args.service_ms / 1000)
        world.make_photos(args.images, min(args.files, args.images), rng)
        done = threading.Event()
        threading.Thread(target=world.watch_memory, args=(done,), daemon=True).start()
        began = time.monotonic()
        kills = soak(world, args.every, rng)
        minutes = (time.monotonic() - began) / 60
        agrees = load_and_verify(world, rng)
        done.set()

        looks = Counter(line.split(" ", 1)[1] for line in world.log.read_text().splitlines())
        landing = pb.Landing(world.out)
        landed = Counter(i for t in landing.iter_images(modules=[]) for i in t["image_id"].to_pylist())
        files = len(landing.parts)

    expected = args.images
    figures = {
        "soak.minutes": minutes,
        "soak.kills": sum(kills.values()),
        **{f"soak.kills.{victim}": kills[victim] for victim in VICTIMS},
        "soak.images": expected,
        "soak.lost": expected - len(landed),
        "soak.duplicated": sum(landed.values()) - len(landed),
        "soak.recomputed": sum(looks.values()) - len(looks),
        "soak.recomputed_share": (sum(looks.values()) - len(looks)) / expected,
        "soak.stores_agree": float(agrees),
        "soak.part_files": files,
        **{f"soak.peak_mb.{who}": mb for who, mb in world.peak_mb.items()},
    }
    print_table(["soak", ""], [[name.removeprefix("soak."), value] for name, value in figures.items()])
    print(machine())
    if args.json:
        settings = {"seed": seed, "every_s": args.every, "service_ms": args.service_ms, "files": args.files}
        write_json(args.json, "soak", settings, figures, versions("pixelbrain", "ray", "pyarrow"))
    return 0 if agrees and figures["soak.lost"] == figures["soak.duplicated"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

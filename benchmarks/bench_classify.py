#!/usr/bin/env python3
"""How close does `pixelbrain extract` come to the limit, and how far from Ray Data as its documentation uses it?

    python benchmarks/bench_classify.py [--quick] [--json FILE]

ResNet-50 over generated JPEGs of 500 px, in one run on one machine:
- bare: the tightest loop that we know, in one process: decoding threads, folded batch norms, the same number format
  and memory format as ours, no framework, nothing landed. It runs before and after the others, and its mean counts.
- ours, steady: `Pipeline.extract` (what `pixelbrain extract` calls) from the first landed block to the last one.
- ours, cold: all of it, from the call to the return: Ray's start, the model's, landing.
- ray: `read_images`, a `map` with the weights' transforms and a `map_batches` with the model, as in the
  documentation's image classification example, from its first batch to its last.

The weights are seeded, not trained: the official file cannot be had everywhere, and the time is the same.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _machine import machine, print_table, versions, write_json
from PIL import Image

BATCH = 32


def make_photos(folder: Path, count: int, side_px: int = 500) -> None:
    """JPEGs of smooth shapes with some noise, about as large as photos of that size are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    for index in range(count):
        waves = [np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform())) for _ in range(3)]
        pixels = 127 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 8, (side_px, side_px, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index:05d}.jpg", quality=88)


def seeded_weights(path: Path) -> None:
    """ResNet-50's state dict with seeded numbers."""
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)


def bare(photos: list[Path], weights: Path, threads: int) -> float:
    """Images/s of a loop without any framework."""
    import torch
    import torchvision
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    def fold(module: torch.nn.Module) -> None:
        previous = None
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, previous, fuse_conv_bn_eval(getattr(module, previous), child))
                setattr(module, name, torch.nn.Identity())
            fold(child)
            previous = name

    torch.set_num_threads(threads)
    device, dtype = limit_format()
    model = torchvision.models.resnet50(weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    fold(model.eval())
    model = model.to(device, dtype, memory_format=torch.channels_last)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1) * 255

    def load(path: Path) -> np.ndarray:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.draft("RGB", (232, 232))
        image = image.convert("RGB").resize((232, 232), Image.Resampling.BILINEAR).crop((4, 4, 228, 228))
        return np.asarray(image)

    def batches() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(threads) as pool:
            ahead = [pool.submit(load, p) for p in photos[:BATCH]]
            for start in range(BATCH, len(photos) + BATCH, BATCH):
                now, ahead = ahead, [pool.submit(load, p) for p in photos[start : start + BATCH]]
                yield np.stack([future.result() for future in now])

    done, started, first = 0, 0.0, 0
    with torch.inference_mode():
        for batch in batches():
            values = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
            values = ((values.float() - mean) / std).to(dtype, memory_format=torch.channels_last)
            model(values).float().softmax(dim=1).topk(5).values.cpu()
            done += len(batch)
            if not started:  # the first batch warms up
                started, first = time.perf_counter(), done
    return (done - first) / (time.perf_counter() - started)


def limit_format() -> tuple[str, object]:
    """The device and number format that Pixelbrain chooses too."""
    import torch

    from pixelbrain.modules.inference import choose_dtype

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return device, choose_dtype("auto", device)


def ours(folder: Path, weights: Path, out: Path) -> tuple[float, float]:
    """Images/s, steady and cold."""
    import pixelbrain as pb

    seen: list[tuple[float, int]] = []
    module = pb.ResnetClassifierModule("resnet50", weights_file=weights, batch_size=BATCH)
    started = time.perf_counter()
    report = pb.Pipeline(pb.DataLoader(str(folder)), [module], executor="ray").extract(
        out, progress=lambda done, _total, _failed: seen.append((time.perf_counter(), done)) if done else None
    )
    seconds = time.perf_counter() - started
    assert report.failed == 0
    (first_at, first), (last_at, last) = seen[0], seen[-1]
    return (last - first) / (last_at - first_at), report.done / seconds


def ray_data(folder: Path, weights: Path) -> float:
    """Images/s of Ray Data, used as in its documentation."""
    import ray
    import torch
    import torchvision

    transform = torchvision.models.ResNet50_Weights.DEFAULT.transforms()

    def preprocess(row: dict) -> dict:
        return {"image": transform(torch.from_numpy(row["image"].copy()).permute(2, 0, 1)).numpy()}

    class Classifier:
        def __init__(self) -> None:
            self.model = torchvision.models.resnet50(weights=None)
            self.model.load_state_dict(torch.load(weights, weights_only=True))
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
            self.model.to(self.device).eval()

        def __call__(self, batch: dict) -> dict:
            with torch.inference_mode():
                scores = self.model(torch.from_numpy(batch["image"].copy()).to(self.device))
            return {"label": scores.argmax(dim=1).cpu().numpy()}

    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpus = int(ray.cluster_resources().get("GPU", 0))
    labels = (
        ray.data.read_images(str(folder), mode="RGB")
        .map(preprocess)
        .map_batches(
            Classifier,
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=gpus or 1),
            num_gpus=1 if gpus else None,
            num_cpus=None if gpus else 1,
        )
    )
    seen: list[tuple[float, int]] = []
    done = 0
    for batch in labels.iter_batches(batch_size=None):
        done += len(batch["label"])
        seen.append((time.perf_counter(), done))
    ray.shutdown()
    (first_at, first), (last_at, last) = seen[0], seen[-1]
    return (last - first) / (last_at - first_at)


def quietly(function: Callable[..., float], *args: object) -> float:
    """Run with warnings off: the peers' are not ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="300 images: a look, no figure to quote")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    count = 300 if args.quick else args.images
    threads = min(os.cpu_count() or 1, 16)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder, weights = root / "photos", root / "resnet50.pth"
        folder.mkdir()
        make_photos(folder, count)
        seeded_weights(weights)
        photos = sorted(folder.iterdir())
        before = bare(photos, weights, threads)
        steady, cold = ours(folder, weights, root / "out")
        peer = quietly(ray_data, folder, weights)
        after = bare(photos, weights, threads)
    limit = (before + after) / 2
    device, dtype = limit_format()
    settings = {
        "images": count,
        "side_px": 500,
        "batch": BATCH,
        "threads": threads,
        "device": device,
        "dtype": str(dtype),
    }
    figures = {
        "classify.bare.images_per_s": limit,
        "classify.bare.drift": after / before,
        "classify.steady.images_per_s": steady,
        "classify.cold.images_per_s": cold,
        "classify.ray.images_per_s": peer,
        "classify.steady_vs_limit": steady / limit,
        "classify.cold_vs_limit": cold / limit,
        "classify.ray_vs_limit": peer / limit,
        "classify.vs_ray": steady / peer,
    }
    print_table(
        ["ResNet-50, 500 px JPEGs", "images/s", "of the limit"],
        [
            ["bare loop, the limit", f"{limit:.1f}", "1.00"],
            ["pixelbrain extract, steady", f"{steady:.1f}", f"{steady / limit:.2f}"],
            ["pixelbrain extract, cold", f"{cold:.1f}", f"{cold / limit:.2f}"],
            ["Ray Data as documented", f"{peer:.1f}", f"{peer / limit:.2f}"],
        ],
    )
    print(f"{count} images, {dtype}, {machine()}; the bare loop's second run was {after / before:.2f} of its first")
    if args.json:
        used = versions("pixelbrain", "ray", "torch", "torchvision", "pillow")
        write_json(args.json, "classify", settings, figures, used)


if __name__ == "__main__":
    sys.exit(main())

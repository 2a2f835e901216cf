#!/usr/bin/env python3
"""How much of a card does the whole pipeline use: `extract` with each model on it, beside the model alone?

    python benchmarks/gpu_pipeline.py [--quick] [--images N] [--model NAME] [--json FILE]

On Ray, on whatever card there is, or on the CPU where there is none: figures begin with `cuda.` or `cpu.`. No card has
been had yet, and nothing is claimed of one. ResNet-50 has seeded weights; `faces` is MTCNN and dlib's embedder, which
come inside packages, and dlib's computes on the CPU.
- alone: the module over the same photos, decoded before, in its own batches, in this process: the limit.
- fused, one actor a card, and two that share it; staged, where the layout has CPUs to decode on: `extract` from the
  first landed block to the last. "of the limit" is that rate by the limit, "busy" the part of the time that the card
  computed, as nvidia-smi samples it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _machine import machine, print_table, versions, write_json
from bench_classify import make_photos, seeded_weights

MODELS = ("resnet50", "faces")
LAYOUTS = {
    "fused": {"layout": "fused"},
    "fused, two a card": {"layout": "fused", "gpus_per_actor": {"images": 0.5}},
    "staged": {"layout": "staged"},
}


def make_module(name: str, weights: Path) -> Any:
    """The module, as a user makes it."""
    import pixelbrain as pb

    if name == "faces":
        return pb.FacenetEmbedderModule("dlib", offline=True)
    return pb.ResnetClassifierModule("resnet50", weights_file=weights)


def alone(module: Any, photos: Sequence[Path], device: str, seconds: float) -> float:
    """Images/s of the module over what is decoded already."""
    from pixelbrain.images.decode import decode_image

    module.setup(device)
    batch = module.resources.batch_size
    read = [path.read_bytes() for path in photos[: 4 * batch]]
    inputs = [module.preprocess(decode_image(data, target=module.decode_target)) for data in read]
    module.process_batch(inputs[:batch])  # what is made at the first time is no image's cost
    done, started = 0, time.perf_counter()
    while not done or time.perf_counter() - started < seconds:
        start = done % len(inputs)
        done += len(module.process_batch(inputs[start : start + batch]))
    return done / (time.perf_counter() - started)


def whole(module: Any, folder: Path, images: int, device: str, executor: str, wishes: dict[str, Any]) -> float:
    """Images/s of `extract`, from its first landed block to its last."""
    import pixelbrain as pb
    from pixelbrain.config import Placement

    told: list[tuple[int, float]] = []

    def progress(done: int, _total: int, _failed: int) -> None:
        if done and (not told or done > told[-1][0]):
            told.append((done, time.perf_counter()))

    placement = Placement(executor=executor, device=device, **wishes)
    with tempfile.TemporaryDirectory(prefix="gpu-pipeline-") as out:
        report = pb.Pipeline(pb.DataLoader(str(folder)), [module], placement=placement).extract(out, progress=progress)
    assert report.done == images and not report.failed
    (first, began), (last, ended) = told[0], told[-1]
    # of few images there may be one block alone
    return (last - first) / (ended - began) if last > first else report.images_per_s


class Card:
    """How busy the card is while a block of code runs; without nvidia-smi, nobody knows."""

    def __enter__(self) -> Card:
        self.samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def busy(self) -> float | None:
        """0 to 1, the mean of the busier half of the samples: before and after, it waits for Ray."""
        upper = sorted(self.samples)[len(self.samples) // 2 :]
        return statistics.mean(upper) / 100 if upper else None

    def _watch(self) -> None:
        if not torch.cuda.is_available() or shutil.which("nvidia-smi") is None:
            return
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(0.5):
            said = subprocess.run(command, capture_output=True, text=True).stdout.split()
            self.samples += [float(one) for one in said[:1] if one.isdecimal()]


def main(given: Sequence[str] | None = None) -> None:
    """Parse, measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], help="[cuda where there is a card]")
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable [both]")
    parser.add_argument("--layout", action="append", choices=list(LAYOUTS), help="repeatable [all]")
    parser.add_argument("--images", type=int, help="how many [20,000 on a card, 500 on a CPU]")
    parser.add_argument("--executor", choices=["ray", "local"], default="ray", help="local: fused alone, without Ray")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the module alone")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, and of the time")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    asked = parser.parse_args(given)
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    images = asked.images or (20_000 if device == "cuda" else 500) // (10 if asked.quick else 1)
    seconds = asked.seconds / (10 if asked.quick else 1)
    layouts = asked.layout or (list(LAYOUTS) if asked.executor == "ray" else ["fused"])
    if device == "cpu":
        layouts = [name for name in layouts if "card" not in name]
    figures: dict[str, float] = {}
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory(prefix="gpu-pipeline-") as name:
        (folder := Path(name, "photos")).mkdir()
        make_photos(folder, images)
        seeded_weights(weights := Path(name, "resnet50.pth"))
        for model in asked.model or MODELS:
            limit = alone(make_module(model, weights), sorted(folder.iterdir()), device, seconds)
            figures[f"{device}.{model}.alone.images_per_s"] = limit
            rows.append([f"{model}, alone", limit, 1.0, ""])
            for layout in layouts:
                with Card() as card:
                    found = whole(make_module(model, weights), folder, images, device, asked.executor, LAYOUTS[layout])
                dotted = f"{device}.{model}.{layout.replace(', ', '_').replace(' ', '_')}"
                figures |= {f"{dotted}.images_per_s": found, f"{dotted}.of_limit": found / limit}
                if card.busy is not None:
                    figures[f"{dotted}.busy"] = card.busy
                rows.append([f"{model}, {layout}", found, found / limit, "" if card.busy is None else card.busy])
    print_table([device, "images/s", "of the limit", "card busy"], rows)
    print(machine())
    if asked.json:
        settings = {"device": device, "images": images, "executor": asked.executor, "quick": asked.quick}
        write_json(asked.json, "gpu_pipeline", settings, figures, versions("torch", "torchvision", "ray"))


if __name__ == "__main__":
    main()

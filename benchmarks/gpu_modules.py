#!/usr/bin/env python3
"""What does a card give each model: by batch size, number format and way to run, and beside its measured ceiling?

    python benchmarks/gpu_modules.py [--quick] [--model NAME] [--batch N] [--json FILE]

Without Ray, on the first CUDA card, or on the CPU where there is none: figures begin with `cuda.` or `cpu.`, so that
one is never taken for the other's. No card has been had yet, and nothing is claimed of one.
- ceiling: the best product of two square matrices in each format, in TFLOP/s. "of the ceiling" is what a model's own
  operations, as torch counts them, come to beside it.
- resnet50 and facenet (InceptionResnetV1), of seeded weights, as the time is the same: float32, bfloat16, float16, the
  last two with channels_last as well, and that compiled by torch.compile, and as a CUDA graph. Inputs are on the card.
- mtcnn: facenet-pytorch's, its own weights, of sample photos of one size, so many at a time, uint8 in and boxes out.
- decode: JPEGs to RGB, by our decoder in threads, by torchvision's on the CPU, and by its nvJPEG on the card.
What only a card can, or what does not fit its memory, is left out of the table, and said.
"""

from __future__ import annotations

import argparse
import copy
import functools
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _machine import machine, print_table, versions, write_json
from PIL import Image

MODELS = ("resnet50", "facenet", "mtcnn")
BATCHES, QUICK_BATCHES = (1, 8, 32, 128, 512), (8, 64)
SIDES_PX = {"resnet50": 224, "facenet": 160, "mtcnn": 640}
SAMPLES = Path(__file__).parent.parent / "pixelbrain" / "samples"


@dataclass(frozen=True)
class Way:
    """How a model is run."""

    title: str
    dtype: torch.dtype
    channels_last: bool = False
    how: str = ""  # compile, graph: on a card only


WAYS = (
    Way("float32", torch.float32),
    Way("float32, channels_last", torch.float32, True),
    Way("bfloat16", torch.bfloat16),
    Way("bfloat16, channels_last", torch.bfloat16, True),
    Way("bfloat16, channels_last, torch.compile", torch.bfloat16, True, "compile"),
    Way("bfloat16, channels_last, CUDA graph", torch.bfloat16, True, "graph"),
    Way("float16", torch.float16),
    Way("float16, channels_last", torch.float16, True),
    Way("float16, channels_last, torch.compile", torch.float16, True, "compile"),
    Way("float16, channels_last, CUDA graph", torch.float16, True, "graph"),
)


def can(way: Way, device: str) -> bool:
    """Whether a device can: a CPU computes float16 slower than any other, and has no graphs of CUDA."""
    return device == "cuda" or not (way.how or way.dtype == torch.float16)


def rate(work: Callable[[], Any], images: int, device: str, seconds: float) -> float:
    """Images/s of a step that does so many, after three to warm up."""
    sync = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        work()
    sync()
    rounds, started = 0, time.perf_counter()
    while not rounds or time.perf_counter() - started < seconds:
        work()
        rounds += 1
        if rounds % 16 == 0:
            sync()  # else a queue of minutes would be made in seconds
    sync()
    return rounds * images / (time.perf_counter() - started)


def ceilings(device: str, size: int, seconds: float) -> dict[torch.dtype, float]:
    """TFLOP/s of the product of two matrices of `size`, by format."""
    found = {}
    for dtype in dict.fromkeys(way.dtype for way in WAYS if can(way, device)):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        with torch.inference_mode():
            found[dtype] = rate(functools.partial(torch.matmul, a, b), 1, device, seconds) * 2 * size**3 / 1e12
    return found


def make_model(name: str) -> torch.nn.Module:
    """Of seeded weights, on the CPU, its norms folded as ours are."""
    from pixelbrain.images.torchvision import import_torchvision
    from pixelbrain.modules.inference import fold_batch_norms

    import_torchvision()
    torch.manual_seed(0)
    if name == "resnet50":
        import torchvision

        return fold_batch_norms(torchvision.models.resnet50(weights=None).eval())
    from facenet_pytorch import InceptionResnetV1

    return fold_batch_norms(InceptionResnetV1().eval())


def operations(model: torch.nn.Module, side_px: int) -> float:
    """Of one image, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, side_px, side_px))
    return float(counter.get_total_flops())


def step_of(model: torch.nn.Module, values: torch.Tensor, how: str) -> Callable[[], Any]:
    """A forward pass over the same batch, in one of the ways."""
    if how == "compile":
        return functools.partial(torch.compile(model), values)
    if how != "graph":
        return functools.partial(model, values)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # a graph records no first time
            model(values)
    torch.cuda.current_stream().wait_stream(stream)
    graph, static = torch.cuda.CUDAGraph(), values.clone()
    with torch.cuda.graph(graph):
        model(static)

    def replay() -> None:
        static.copy_(values)
        graph.replay()

    return replay


def forward_rates(
    name: str, device: str, batches: Sequence[int], side_px: int, seconds: float
) -> Iterator[tuple[Way, int, float | None]]:
    """Way, batch size, images/s (None: it does not fit)."""
    made = make_model(name)
    for way in WAYS:
        if not can(way, device):
            continue
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        model = copy.deepcopy(made).to(device, way.dtype).to(memory_format=layout)
        for batch in batches:
            try:
                with torch.inference_mode():
                    values = torch.rand(batch, 3, side_px, side_px, device=device).to(way.dtype, memory_format=layout)
                    yield way, batch, rate(step_of(model, values, way.how), batch, device, seconds)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                yield way, batch, None


def sample_photos(count: int, side_px: int) -> list[Image.Image]:
    """So many photos of people, all of one size."""
    files = sorted(SAMPLES.rglob("*.jpg"))
    photos = []
    for number in range(count):
        with Image.open(files[number % len(files)]) as photo:
            photos.append(photo.convert("RGB").resize((side_px, side_px * 3 // 4)))
    return photos


def detect_rates(
    device: str, batches: Sequence[int], side_px: int, seconds: float
) -> Iterator[tuple[Way, int, float | None]]:
    """As `forward_rates`, of MTCNN."""
    from facenet_pytorch import MTCNN

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        net = MTCNN(keep_all=True, device=device).eval()
    for way in (WAYS[0], *(way for way in WAYS if way.dtype == torch.float16 and not (way.channels_last or way.how))):
        if not can(way, device):
            continue
        net.to(way.dtype)
        for batch in batches:
            photos = np.stack([np.asarray(photo) for photo in sample_photos(batch, side_px)])
            try:
                with torch.inference_mode():
                    yield way, batch, rate(functools.partial(net.detect, photos), batch, device, seconds)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                yield way, batch, None


def decode_rates(device: str, count: int, side_px: int, seconds: float) -> Iterator[tuple[str, float]]:
    """How, images/s."""
    from pixelbrain.images.decode import decode_image
    from pixelbrain.images.torchvision import import_torchvision

    import_torchvision()
    from torchvision.io import ImageReadMode, decode_jpeg

    encoded = []
    for photo in sample_photos(count, side_px):
        photo.save(buffer := io.BytesIO(), "JPEG", quality=90)
        encoded.append(buffer.getvalue())
    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in encoded]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ways: dict[str, Callable[[], Any]] = {
            "ours, in threads": lambda: list(pool.map(lambda data: decode_image(data).pixels.shape, encoded)),
            "torchvision, in threads": lambda: list(
                pool.map(lambda data: decode_jpeg(data, ImageReadMode.RGB).shape, tensors)
            ),
        }
        if device == "cuda":
            ways["torchvision's nvJPEG"] = lambda: decode_jpeg(tensors, ImageReadMode.RGB, device="cuda")
        for how, work in ways.items():
            yield how, rate(work, count, device, seconds)


def dotted(*words: object) -> str:
    """A figure's name."""
    return ".".join(str(word).replace(", ", "_").replace(" ", "_").replace("'", "").replace(".", "_") for word in words)


def main(given: Sequence[str] | None = None) -> None:
    """Parse, measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], help="[cuda where there is a card]")
    parser.add_argument("--model", action="append", choices=[*MODELS, "decode"], help="repeatable [all]")
    parser.add_argument("--batch", action="append", type=int, help="images at a time; repeatable")
    parser.add_argument("--side", type=int, metavar="PX", help="of the inputs, instead of each model's own")
    parser.add_argument("--matrix", type=int, metavar="N", help="side of the ceiling's matrices [8192; on a CPU 1024]")
    parser.add_argument("--seconds", type=float, help="of each measurement [2]")
    parser.add_argument("--quick", action="store_true", help="two batch sizes, half a second each")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    asked = parser.parse_args(given)
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA card here: --device cpu runs the same on the CPU")
    seconds = asked.seconds or (0.5 if asked.quick else 2.0)
    batches = asked.batch or (QUICK_BATCHES if asked.quick else BATCHES)
    ceiling = ceilings(device, asked.matrix or (8192 if device == "cuda" else 1024), seconds)
    figures = {dotted(device, "ceiling", str(d).removeprefix("torch."), "tflops"): v for d, v in ceiling.items()}
    rows: list[list[object]] = []
    without: list[str] = [way.title for way in WAYS if not can(way, device)]
    for name in asked.model or [*MODELS, "decode"]:
        if name == "decode":
            for how, found in decode_rates(device, max(batches), asked.side or SIDES_PX["mtcnn"], seconds):
                rows.append([f"decode, {how}", max(batches), found, ""])
                figures[dotted(device, "decode", how, "images_per_s")] = found
            continue
        side = asked.side or SIDES_PX[name]
        if name == "mtcnn":
            flops, rates = None, detect_rates(device, batches, side, seconds)
        else:
            flops, rates = operations(make_model(name), side), forward_rates(name, device, batches, side, seconds)
        for way, batch, speed in rates:
            if speed is None:
                without.append(f"{name}, {way.title}, {batch} at a time: out of memory")
                continue
            figures[dotted(device, name, way.title, batch, "images_per_s")] = speed
            share: object = ""
            if flops:
                share = speed * flops / 1e12 / ceiling[way.dtype]
                figures[dotted(device, name, way.title, batch, "of_ceiling")] = float(share)
            rows.append([f"{name}, {way.title}", batch, speed, share])
    print("ceiling:", ", ".join(f"{str(dtype).removeprefix('torch.')} {v:.2f} TFLOP/s" for dtype, v in ceiling.items()))
    print_table([device, "at a time", "images/s", "of the ceiling"], rows)
    if without:
        print(f"left out: {'; '.join(without)}")
    print(machine())
    if asked.json:
        settings = {"device": device, "batches": list(batches), "seconds": seconds, "side_px": asked.side or "own"}
        used = versions("torch", "torchvision", "facenet-pytorch", "pillow")
        write_json(asked.json, "gpu_modules", settings, figures, used)


if __name__ == "__main__":
    main()

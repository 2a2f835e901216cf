#!/usr/bin/env python3
"""From a photo's bytes to what a classifier sees: which decoder, which resize, and what it changes in the answers.

    python benchmarks/bench_decode.py [--photos FOLDER] [--quick] [--json FILE]

JPEGs of 500 px, 2, 12 and 48 megapixels, made of the demo's photos with a sensor's noise. Each way goes from the
encoded bytes to the upright 224 px square of uint8 that efficientnet-lite0 sees; seconds are of a processor. A decoder
that can reduce while it decodes is asked to. All ways take turns, and the table has the medians and the ratio to ours
(`decode_image` and the module's own `preprocess`).

The last columns are the share of photos whose likeliest label stays that of the reference (Pillow, all pixels, then
Pillow's resize, with which the model was evaluated), of all, and of those that the reference gives 0.5 and more: real
weights, on the photos of FOLDER or on crops of the demo's. A way that names no resize has ours.

Peers that are not installed are left out: `uv run --group peers`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine, print_table, versions, write_json
from PIL import Image, ImageOps

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.images.decode import decode_image
from pixelbrain.modules.resnet import ResnetClassifierModule

SHORT_PX = 256  # what efficientnet-lite0's preprocessing resizes the short side to
SURE = 0.5  # the likeliest label's probability, from which on it is shown
SIZES = {"500px": (500, 375), "2mp": (1632, 1224), "12mp": (4032, 3024), "48mp": (8064, 6048)}
SEEN = {"500px": 16, "2mp": 8, "12mp": 4, "48mp": 1}  # photos of a size, each round
OURS, REFERENCE = "ours", "Pillow, all pixels, Pillow's resize"
PEERS = ("simplejpeg", "turbojpeg", "cv2", "pyvips", "imagecodecs")

Resize = Callable[[Image.Image], np.ndarray]
Way = Callable[[bytes], np.ndarray]


def load_module() -> ResnetClassifierModule:
    """The packaged classifier on one core."""
    import torch

    torch.set_num_threads(1)
    module = ResnetClassifierModule("efficientnet-lite0", precision="float32")
    module.setup()
    return module


# --- photos ----------------------------------------------------------------------------------------------------------


def make_photos(size: tuple[int, int], count: int) -> list[bytes]:
    """JPEGs of this width and height, of quality 90: the demo's photos, enlarged, with noise as fine as the pixels."""
    rng, files = np.random.default_rng(0), sorted(SAMPLES.rglob("*.jpg"))
    photos = []
    for number in range(count):
        with Image.open(files[number % len(files)]) as source:
            image = ImageOps.fit(source.convert("RGB"), size, Image.Resampling.BICUBIC)
        noise = rng.integers(-6, 7, (size[1], size[0], 1), dtype=np.int8)
        pixels = np.clip(np.asarray(image).astype(np.int16) + noise, 0, 255).astype(np.uint8)
        photos.append(_jpeg(Image.fromarray(pixels)))
    return photos


def crops(count: int) -> list[bytes]:
    """JPEGs of parts of the demo's photos, at sizes that photos have."""
    rng, files = np.random.default_rng(1), sorted(SAMPLES.rglob("*.jpg"))
    found = []
    for number in range(count):
        with Image.open(files[number % len(files)]) as source:
            image = source.convert("RGB")
        share = rng.uniform(0.5, 1)
        width, height = int(image.width * share), int(image.height * share)
        left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
        part = image.crop((left, top, left + width, top + height))
        grown = rng.uniform(1, 3) * max(1.0, SHORT_PX / min(part.size))
        found.append(_jpeg(part.resize((int(width * grown), int(height * grown)), Image.Resampling.LANCZOS)))
    return found


def _jpeg(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


# --- the ways --------------------------------------------------------------------------------------------------------


def ways(module: ResnetClassifierModule) -> dict[str, Way]:
    """By name, bytes to uint8 (224, 224, 3)."""
    ours = module._preprocessor.to_pixels

    def pillow(resize: Resize, draft: bool) -> Way:
        def run(data: bytes) -> np.ndarray:
            with Image.open(io.BytesIO(data)) as image:
                if draft:
                    image.draft("RGB", _at_least(image.size))
                return resize(ImageOps.exif_transpose(image).convert("RGB"))

        return run

    found = {
        OURS: lambda data: module.preprocess(decode_image(data, target=module.decode_target)),
        REFERENCE: pillow(_by_pillow, draft=False),
        "Pillow reduced, Pillow's resize": pillow(_by_pillow, draft=True),
        "Pillow reduced, resize in float32": pillow(_in_float, draft=True),
        "Pillow reduced": pillow(ours, draft=True),
    }
    for name in ("torchvision", *PEERS):
        try:
            peer = importlib.import_module(name)
        except (ImportError, OSError):  # not installed, or its shared library is not
            continue
        found |= globals()[f"_{name}"](peer, ours)
    return found


def _by_pillow(image: Image.Image) -> np.ndarray:
    from torchvision.transforms import InterpolationMode, functional

    resized = functional.resize(image, [SHORT_PX], interpolation=InterpolationMode.BICUBIC)
    return np.asarray(functional.center_crop(resized, [224]))


def _in_float(image: Image.Image) -> np.ndarray:
    import torch
    from torchvision.transforms import InterpolationMode, functional

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    resized = functional.resize(pixels, [SHORT_PX], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return functional.center_crop(resized, [224]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _at_least(size: tuple[int, int]) -> tuple[int, int]:
    """The smallest width and height that keep the short side."""
    scale = min(1.0, SHORT_PX / min(size))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _factor(size: tuple[int, int]) -> int:
    """1, 2, 4 or 8: by how much a JPEG may be reduced while it is decoded."""
    return next(factor for factor in (8, 4, 2, 1) if min(size) // factor >= SHORT_PX or factor == 1)


def _size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def _torchvision(_peer: Any, resize: Resize) -> dict[str, Way]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(data: bytes) -> np.ndarray:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        pixels = decode_jpeg(encoded, mode=ImageReadMode.RGB, apply_exif_orientation=True)
        return resize(Image.fromarray(pixels.permute(1, 2, 0).numpy()))

    return {"torchvision, all pixels": decode}


def _simplejpeg(peer: Any, resize: Resize) -> dict[str, Way]:
    def decode(data: bytes) -> np.ndarray:
        height, width, *_ = peer.decode_jpeg_header(data)
        short = {"min_height": min(SHORT_PX, height)} if height <= width else {"min_width": min(SHORT_PX, width)}
        return resize(Image.fromarray(peer.decode_jpeg(data, min_factor=1.0, **short)))

    return {"simplejpeg reduced": decode}


def _turbojpeg(peer: Any, resize: Resize) -> dict[str, Way]:
    try:
        turbo = peer.TurboJPEG()
    except (RuntimeError, OSError):  # the package comes without libturbojpeg
        return {}

    def decode(data: bytes) -> np.ndarray:
        width, height, *_ = turbo.decode_header(data)
        pixels = turbo.decode(data, pixel_format=peer.TJPF_RGB, scaling_factor=(1, _factor((width, height))))
        return resize(Image.fromarray(pixels))

    return {"PyTurboJPEG reduced": decode}


def _cv2(peer: Any, resize: Resize) -> dict[str, Way]:
    peer.setNumThreads(1)
    flags = {1: peer.IMREAD_COLOR, **{by: getattr(peer, f"IMREAD_REDUCED_COLOR_{by}") for by in (2, 4, 8)}}

    def decode(data: bytes) -> np.ndarray:
        pixels = peer.imdecode(np.frombuffer(data, np.uint8), flags[_factor(_size(data))])
        return resize(Image.fromarray(peer.cvtColor(pixels, peer.COLOR_BGR2RGB)))

    return {"opencv reduced": decode}


def _pyvips(peer: Any, resize: Resize) -> dict[str, Way]:
    def decode(data: bytes) -> np.ndarray:
        image = peer.Image.new_from_buffer(data, "", shrink=_factor(_size(data)), autorotate=True)
        return resize(Image.fromarray(image.numpy()))

    return {"pyvips reduced": decode}


def _imagecodecs(peer: Any, resize: Resize) -> dict[str, Way]:
    return {"imagecodecs, all pixels": lambda data: resize(Image.fromarray(peer.jpeg8_decode(data)))}


# --- the table -------------------------------------------------------------------------------------------------------


def rates(way: dict[str, Way], photos: list[bytes], rounds: int) -> dict[str, float]:
    """Images/s of one core by way, the median of the rounds; the ways take turns."""
    taken: dict[str, list[float]] = {name: [] for name in way}
    for _ in range(rounds + 1):  # the first warms up
        for name, run in way.items():
            start = time.process_time()
            for data in photos:
                run(data)
            taken[name].append(time.process_time() - start)
    return {name: len(photos) / statistics.median(seconds[1:]) for name, seconds in taken.items()}


def agreement(way: dict[str, Way], photos: list[bytes], module: ResnetClassifierModule) -> dict[str, dict[str, float]]:
    """By way, the share of photos whose likeliest label is the reference's: of all, and of those that it is sure of."""

    def rows(run: Way) -> list[dict[str, Any]]:
        blocks = (photos[start : start + 32] for start in range(0, len(photos), 32))
        return [row for block in blocks for row in module.process_batch([run(data) for data in block])]

    reference = rows(way[REFERENCE])
    sure = np.array([row["label_score"] >= SURE for row in reference])
    found = {}
    for name, run in way.items():
        same = np.array([row["label"] == other["label"] for row, other in zip(rows(run), reference, strict=True)])
        found[name] = {"same_label": float(same.mean()), "same_sure_label": float(same[sure].mean())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", metavar="FOLDER", type=Path, help="JPEGs of yours for the labels, with all below")
    parser.add_argument("--quick", action="store_true", help="up to 2 megapixels, 3 rounds, 64 photos for the labels")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    module = load_module()
    way = ways(module)
    names = list(SIZES)[: 2 if arguments.quick else None]
    rounds = 3 if arguments.quick else 7
    by_size = {name: rates(way, make_photos(SIZES[name], SEEN[name]), rounds) for name in names}
    if arguments.photos:
        labelled = [path.read_bytes() for path in sorted(arguments.photos.rglob("*.jp*g"))]
    else:
        labelled = crops(64 if arguments.quick else 600)
    same = agreement(way, labelled, module)
    figures: dict[str, float] = {}
    for name in way:
        dotted = re.sub(r"\W+", "_", name.lower().replace("'", ""))
        figures |= {f"decode.{size}.{dotted}.images_per_s": by_size[size][name] for size in names}
        figures |= {f"decode.{size}.{dotted}.vs_ours": by_size[size][name] / by_size[size][OURS] for size in names}
        figures |= {f"decode.{dotted}.{key}": share for key, share in same[name].items()}
    headers = [cell for size in names for cell in (f"{size}, images/s", "of ours")]
    rows = [
        [
            name,
            *(cell for size in names for cell in (by_size[size][name], by_size[size][name] / by_size[size][OURS])),
            *same[name].values(),
        ]
        for name in way
    ]
    print_table(["one core, bytes to 224 px", *headers, f"same label of {len(labelled):,}", "of the sure"], rows)
    print(machine())
    if arguments.json:
        settings = {"sizes": SIZES, "rounds": rounds, "labelled": len(labelled), "own_photos": bool(arguments.photos)}
        write_json(arguments.json, "decode", settings, figures, versions("pillow", "torchvision", "torch"))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""From photos to a vector a face: beside facenet-pytorch and a loop like DeepFace's, and where our time goes.

    python benchmarks/bench_faces.py [--photos FOLDER] [--nobody NAME] [--quick] [--json FILE]

JPEGs of a long side of 250 and 640 px, and of 2 and 12 megapixels, half of them of people and half of things, made of
the demo's photos or of those in FOLDER, whose folder NAME has photos without people. Ways take turns, size by size, on
the CPU; seconds are of a processor, from the bytes to the vectors:
- ours: `FacenetEmbedderModule` with its defaults, 16 photos at a time.
- facenet-pytorch as its README shows: `MTCNN(keep_all=True)` on the whole photo, `InceptionResnetV1` on its faces.
- like DeepFace: the same detector, each face turned upright by its eyes, resized, and embedded alone.

Its faces that count are those of a probability that lands with us, too (0.9), and wider than a 30th of the long side;
found is one that a face of ours overlaps by half. False are faces, of whatever either calls one, in photos without
people. The embedder's weights are seeded: the released file cannot be had everywhere, and the time is the same.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from _machine import machine, print_table, versions, write_json
from PIL import Image

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.images.decode import decode_image
from pixelbrain.images.preprocess import FacePreprocessor
from pixelbrain.modules import faces, mtcnn
from pixelbrain.modules.facenet import FacenetEmbedderModule

SIZES = {"250px": 250, "640px": 640, "2mp": 1632, "12mp": 4032}  # the long side
SURE, WIDE, OVERLAP = 0.9, 1 / 30, 0.5
Found = list[np.ndarray]  # of each photo, boxes (n, 4) and a score, in its pixels
Way = Callable[[Sequence[bytes]], Found]


def make_photos(folder: Path, nobody: str, long_px: int, count: int) -> tuple[list[bytes], list[bool]]:
    """So many JPEGs, none like another, and which of them show people: every other one."""
    rng = np.random.default_rng(long_px)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg", ".png"})
    things = [file for file in files if file.parent.name == nobody]
    people = [file for file in files if file.parent.name != nobody]
    if not things or not people:
        raise SystemExit(
            f"{folder} has {len(things)} photos in {nobody} and {len(people)} elsewhere: give some of both"
        )
    start, photos = int(rng.integers(0, len(people))), []
    for number in range(count):
        several = things if number % 2 else people
        with Image.open(several[(start + number // 2) % len(several)]) as source:
            image = source.convert("RGB")
        left, top = (int(rng.integers(0, side // 20 + 1)) for side in image.size)
        image = image.crop((left, top, *image.size))
        scale = long_px / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        encoded = io.BytesIO()
        image.resize(size, Image.Resampling.BICUBIC).save(encoded, "JPEG", quality=90)
        photos.append(encoded.getvalue())
    return photos, [number % 2 == 0 for number in range(count)]


# --- the ways --------------------------------------------------------------------------------------------------------


def ways(module: FacenetEmbedderModule, weights: Path) -> dict[str, Way]:
    """By name, photos to faces, which are embedded as well."""
    from facenet_pytorch import MTCNN, InceptionResnetV1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = MTCNN(keep_all=True)
    embedder = InceptionResnetV1().eval()
    embedder.load_state_dict(torch.load(weights, weights_only=True))

    def opened(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")

    def boxes_of(found: Any, scores: Any) -> np.ndarray:
        return np.empty((0, 5)) if found is None else np.column_stack([found, scores]).astype(float)

    def theirs(photos: Sequence[bytes]) -> Found:
        found = []
        for data in photos:
            image = opened(data)
            boxes, scores = detector.detect(image)
            if boxes is not None:  # what `detector(image)` does after `detect`
                with torch.no_grad():
                    embedder(detector.extract(image, boxes, None))
            found.append(boxes_of(boxes, scores))
        return found

    def one_by_one(photos: Sequence[bytes]) -> Found:
        found = []
        for data in photos:
            image = opened(data)
            boxes, scores, points = detector.detect(image, landmarks=True)
            for box, eyes in zip(boxes, points[:, :2], strict=True) if boxes is not None else ():
                angle = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
                face = image.crop(tuple(box)).rotate(float(angle)).resize((160, 160))
                with torch.no_grad():
                    embedder(FacePreprocessor().to_tensor(np.array(face)[None]))
            found.append(boxes_of(boxes, scores))
        return found

    def ours(photos: Sequence[bytes]) -> Found:
        found = []
        for start in range(0, len(photos), 16):
            images = [decode_image(data, target=module.decode_target) for data in photos[start : start + 16]]
            for row in module.run(images):
                assert "error" not in row, row
                sides = [[face[name] for name in ("x1", "y1", "x2", "y2", "score")] for face in row["faces"]]
                found.append(np.array(sides, float).reshape(-1, 5))
        return found

    return {"ours": ours, "facenet_pytorch": theirs, "deepface_like": one_by_one}


# --- where our time goes ---------------------------------------------------------------------------------------------


@contextmanager
def stages(module: FacenetEmbedderModule, spent: Counter[str]) -> Iterator[None]:
    """Add to `spent` the seconds of each step of ours."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent[name] += time.process_time() - started

        return run

    def look(self: Any, net: Any, *rest: Any) -> Any:
        name = "second network and its crops" if net is self.net.rnet else "third network and its crops"
        return timed(name, watched)(self, net, *rest)

    watched = mtcnn.Mtcnn._look
    steps = [
        (faces.FaceDetector, "_shrink", "copy of 1,024 px"),
        (mtcnn, "_sum_up", "photo, summed up"),
        (mtcnn, "_shrink", "its sizes"),
        (mtcnn.Mtcnn, "_first_network", "first network"),
        (mtcnn, "_suppress", "overlaps"),
        (faces, "measure_turns", "which way up"),
        (faces, "align", "looks"),
        (faces, "measure_visible", "looks"),
        (faces, "measure_sharpness", "sharpness"),
        (FacePreprocessor, "crop", "faces, cut out"),
        (module._embedder, "embed", "vectors"),
    ]
    with mock.patch.object(mtcnn.Mtcnn, "_look", look):
        patches = []
        for owner, attribute, name in steps:
            step = timed(name, getattr(owner, attribute))
            plain = isinstance(owner, type) and isinstance(vars(owner)[attribute], staticmethod)
            patches.append(mock.patch.object(owner, attribute, staticmethod(step) if plain else step))
        for patch in patches:
            patch.start()
        try:
            with mock.patch(f"{__name__}.decode_image", timed("decoding", decode_image)):
                yield
        finally:
            for patch in patches:
                patch.stop()


# --- figures ---------------------------------------------------------------------------------------------------------


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (n, 4)."""
    inside = np.minimum(one[2:], others[:, 2:4]) - np.maximum(one[:2], others[:, :2])
    shared = inside.clip(0).prod(axis=1)
    areas = (others[:, 2:4] - others[:, :2]).prod(axis=1)
    return shared / ((one[2:] - one[:2]).prod() + areas - shared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", metavar="FOLDER", type=Path, default=SAMPLES)
    parser.add_argument("--nobody", metavar="NAME", default="things", help="the folder in it without people")
    parser.add_argument("--quick", action="store_true", help="4 photos a size instead of 16")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    from facenet_pytorch import InceptionResnetV1

    torch.set_num_threads(1)
    count = 4 if given.quick else 16
    seconds: dict[str, dict[str, float]] = {}
    found: dict[str, Found] = {}
    shown: list[bool] = []
    long_px: list[int] = []
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(0)
        weights = Path(scratch, "seeded.pt")
        torch.save(InceptionResnetV1().state_dict(), weights)
        module = FacenetEmbedderModule(weights_file=weights)
        module.setup()
        several = ways(module, weights)
        for size, side in SIZES.items():
            photos, people = make_photos(given.photos, given.nobody, side, count)
            shown += people
            long_px += [side] * count
            for name, way in several.items():
                way(photos[:1])  # warm
                started = time.process_time()
                found.setdefault(name, []).extend(way(photos))
                seconds.setdefault(name, {})[size] = time.process_time() - started
            with stages(module, spent):
                several["ours"](photos)
    figures = {}
    for name, taken in seconds.items():
        figures |= {f"faces.{name}.{size}.ms": 1000 * one / count for size, one in taken.items()}
        figures[f"faces.{name}.ms"] = 1000 * sum(taken.values()) / len(shown)
    for name in ("facenet_pytorch", "deepface_like"):
        for size in SIZES:
            figures[f"faces.vs_{name}.{size}"] = seconds[name][size] / seconds["ours"][size]
        figures[f"faces.vs_{name}"] = figures[f"faces.{name}.ms"] / figures["faces.ours.ms"]
    wanted = caught = 0
    for mine, other, side in zip(found["ours"], found["facenet_pytorch"], long_px, strict=True):
        for box in other[(other[:, 4] >= SURE) & (other[:, 2] - other[:, 0] > side * WIDE)]:
            wanted += 1
            caught += bool(len(mine)) and bool(overlap(box[:4], mine).max() >= OVERLAP)
    figures |= {"faces.of_baseline": wanted, "faces.recall_of_baseline": caught / max(1, wanted)}
    for name in ("ours", "facenet_pytorch"):
        empty = [len(boxes) for boxes, people in zip(found[name], shown, strict=True) if not people]
        figures[f"faces.{name}.false_faces"] = sum(empty)
    rest = figures["faces.ours.ms"] * len(shown) / 1000 - sum(spent.values())
    steps = {**spent, "the rest": max(0.0, rest)}
    figures |= {
        f"faces.step.{name.replace(' ', '_').replace(',', '')}.ms": 1000 * s / len(shown) for name, s in steps.items()
    }

    print_table(
        ["ms of a processor a photo", *SIZES, "all", "ours is so many times as fast"],
        [
            [name, *(figures[f"faces.{name}.{size}.ms"] for size in SIZES), figures[f"faces.{name}.ms"], ratio]
            for name, ratio in ((name, figures.get(f"faces.vs_{name}", 1.0)) for name in seconds)
        ],
    )
    print()
    print_table(["ours, by step", "ms a photo"], [[name, 1000 * s / len(shown)] for name, s in steps.items()])
    false = [figures[f"faces.{name}.false_faces"] for name in ("ours", "facenet_pytorch")]
    print(
        f"\n{caught} of {wanted} faces of facenet-pytorch found; false ones in {shown.count(False)} photos of things:"
    )
    print(f"{false[0]} of ours, {false[1]} of its; {machine()}")
    if given.json:
        settings = {
            "photos_a_size": count,
            "sizes": list(SIZES),
            "packaged_photos": given.photos == SAMPLES,
            "threads": 1,
        }
        write_json(given.json, "faces", settings, figures, versions("torch", "facenet-pytorch", "pillow"))


if __name__ == "__main__":
    main()

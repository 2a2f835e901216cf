"""How many copies of photos are found, how many of those are none, and how long it takes.

    python benchmarks/bench_duplicates.py FOLDER [--images 10000] [--hashes 100000] [--quick] [--json FILE]

Photos are cut out of those in FOLDER and the samples, side by side, so that no two show the same; of each there are
made copies: smaller, compressed again, cut, mirrored, in other tones. What `quality` says of them lands as a run
lands it; with --vectors N, of the first N photos and their copies the classifier's vectors, too. Recall is the
share of copies of a kind of which the photo or a copy of it is said to be the better one; precision the share of
what is said to drop that is of the same photo as what is kept. `time` are the seconds of `pixelbrain duplicates`
over made-up hashes, a third of them copies.
"""

from __future__ import annotations

import argparse
import collections
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _machine import machine, print_table, versions, write_json
from PIL import Image, ImageEnhance, ImageOps

from pixelbrain import schema
from pixelbrain.apps.demo import SAMPLES
from pixelbrain.identity.lookalikes.duplicates import BITS, find_duplicates
from pixelbrain.images.decode import DecodedImage, DecodeTarget, decode_image
from pixelbrain.images.encoded import open_encoded
from pixelbrain.images.metadata import orientation
from pixelbrain.images.written.tags import read_written
from pixelbrain.landing.derived import read_duplicates
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.quality import QualityModule, perceptual_hash
from pixelbrain.modules.resnet import ResnetClassifierModule

SIDE_PX = 320  # of a photo that is cut out
LEAST_CONTRAST = 0.08  # of such a piece: skies and walls are nobody's photos
SAME_FILE_BITS = 6  # of whole files: the same photo, which is there twice
ROWS = 1000  # that land together
COST_FILES = 60  # of which it is told what reading and measuring them costs
TRIED = (4, 8, 10, 12, 16)  # bits


def _jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return data.getvalue()


def _cut(picture: Image.Image, share: float) -> Image.Image:
    x, y = (round(side * share / 2) for side in picture.size)
    return picture.crop((x, y, picture.width - x, picture.height - y))


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


#: What is made of a photo; each is one kind of copy.
COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "half": lambda one: _jpeg(_scaled(one, 0.5)),
    "third": lambda one: _jpeg(_scaled(one, 1 / 3)),
    "quality_30": lambda one: _jpeg(one, 30),
    "quality_10": lambda one: _jpeg(one, 10),
    "brighter": lambda one: _jpeg(ImageEnhance.Brightness(one).enhance(1.3)),
    "flatter": lambda one: _jpeg(ImageEnhance.Contrast(one).enhance(0.6)),
    "grey": lambda one: _jpeg(one.convert("L").convert("RGB")),
    "mirrored": lambda one: _jpeg(ImageOps.mirror(one)),
    "cut_4": lambda one: _jpeg(_cut(one, 0.04)),
    "cut_10": lambda one: _jpeg(_cut(one, 0.10)),
    "cut_25": lambda one: _jpeg(_cut(one, 0.25)),
}


def cut_out(folders: Sequence[Path], most: int) -> Iterator[Image.Image]:
    """Photos that show different things: pieces of larger ones, side by side, the first of each before the second."""
    files = [one for folder in folders for one in sorted(folder.rglob("*")) if one.suffix.lower() in (".jpg", ".png")]
    pieces: list[list[Image.Image]] = []
    seen: list[int] = []
    for file in files:
        whole = int(perceptual_hash(decode_image(file.read_bytes()).pil().convert("L")), 16)
        if any(bin(whole ^ other).count("1") <= SAME_FILE_BITS for other in seen):
            continue
        seen.append(whole)
        picture = decode_image(file.read_bytes(), target=DecodeTarget(short_side_px=6 * SIDE_PX)).pil()
        across, down = max(1, picture.width // SIDE_PX), max(1, picture.height // SIDE_PX)
        boxes = [(x * SIDE_PX, y * SIDE_PX) for y in range(down) for x in range(across)]
        alone = [picture] if across * down == 1 else []
        cut = alone or [picture.crop((x, y, x + SIDE_PX, y + SIDE_PX)) for x, y in boxes]
        pieces.append([one for one in cut if np.asarray(one.convert("L")).std() / 255 >= LEAST_CONTRAST])
    for place in range(max(map(len, pieces), default=0)):
        for of_file in pieces:
            if place < len(of_file) and most:
                most -= 1
                yield of_file[place]


def land(landing: Landing, photos: Sequence[Image.Image], modules: Sequence[PipelineModule], generation: int) -> None:
    """Photos and their copies, as `file:///NUMBER/KIND`."""
    columns = pa.schema([*schema.BASE_FIELDS, *(pa.field(one.name, one.struct_type()) for one in modules)])
    states = {one.name: ModuleState(settings=one.settings(), model=one.model_info()) for one in modules}
    targets = DecodeTarget(long_side_px=512)
    block, rows, waiting = 0, [], []

    def make(job: tuple[str, Callable[[Image.Image], bytes], Image.Image]) -> tuple[dict[str, Any], DecodedImage]:
        name, copy, photo = job
        data = copy(photo)
        image = decode_image(data, image_id=f"file:///{name}", target=targets)
        row = {"image_id": image.image_id, "version": "1", "status": "ok", "size_bytes": len(data), "sha256": name}
        return row | {"format": image.format, "width": image.width, "height": image.height}, image

    kinds = {"photo": _jpeg, **COPIES}
    jobs = [(f"{n}/{kind}", copy, photo) for n, photo in enumerate(photos) for kind, copy in kinds.items()]
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(jobs), ROWS):
            rows, waiting = zip(*pool.map(make, jobs[start : start + ROWS]), strict=True)
            for module in modules:
                for place in range(0, len(waiting), 32):
                    for row, struct in zip(rows[place:], module.run(waiting[place : place + 32]), strict=False):
                        row[module.name] = struct
            table = pa.Table.from_pylist(list(rows), columns)
            landing.write_part(table, generation=generation, block=block, piece=0, modules=states)
            block += 1
    landing.refresh()


def score(landing: Landing, photos: int, prefix: str) -> dict[str, float]:
    """Recall by kind, and the precision of all."""
    found, right = collections.Counter(), 0
    dropped = read_duplicates(landing).to_pylist()
    kept = {row["duplicate_id"]: row["image_id"].split("/")[3] for row in dropped if row["keep"]}
    dropped = [row for row in dropped if not row["keep"]]
    for row in dropped:
        number, kind = row["image_id"].split("/")[3:]
        if kept[row["duplicate_id"]] == number:
            right += 1
            found[kind] += 1
    figures = {f"{prefix}.precision": right / max(1, len(dropped))}
    # of a photo of which a copy is kept, the photo itself is dropped: whichever is kept counts as found
    of_kept = collections.Counter(row["image_id"].split("/")[4] for row in _kept(landing))
    for kind in COPIES:
        figures[f"{prefix}.recall.{kind}"] = (found[kind] + of_kept[kind]) / photos
    figures[f"{prefix}.recall.all"] = sum(found[kind] + of_kept[kind] for kind in COPIES) / (photos * len(COPIES))
    return figures


def _kept(landing: Landing) -> list[dict[str, Any]]:
    return [row for row in read_duplicates(landing).to_pylist() if row["keep"]]


def time_hashes(hashes: int) -> float:
    """Seconds of `find_duplicates` over so many made-up hashes, a third of them copies."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, hashes, np.uint64)
    copies = hashes // 3
    flips = (np.uint64(1) << rng.integers(0, 64, (copies, 3), np.uint64)).astype(np.uint64)
    values[-copies:] = values[:copies] ^ np.bitwise_xor.reduce(flips, axis=1)
    quality = QualityModule()
    columns = pa.schema([*schema.BASE_FIELDS, pa.field("quality", quality.struct_type())])
    states = {"quality": ModuleState(settings={}, model=None)}
    with tempfile.TemporaryDirectory() as folder:
        landing = Landing(folder)
        for block, start in enumerate(range(0, hashes, 10_000)):
            rows = [
                {
                    "image_id": f"file:///{n:09}.jpg", "version": "1", "status": "ok", "sha256": f"{n:064x}",
                    "size_bytes": n, "format": "JPEG", "width": 400, "height": 300,
                    "quality": {"phash": f"{value:016x}", "contrast": 0.2, "sharpness": 9.0},
                }
                for n, value in enumerate(values[start : start + 10_000].tolist(), start)
            ]  # fmt: skip
            table = pa.Table.from_pylist(rows, columns)
            landing.write_part(table, generation=1, block=block, piece=0, modules=states)
        landing.refresh()
        started = time.perf_counter()
        report = find_duplicates(landing)
        seconds = time.perf_counter() - started
        assert report.drop >= 0.9 * copies, report
        return seconds


def cost(folder: Path) -> dict[str, float]:
    """Milliseconds of one core a photo: to decode it as a default run does, and of what runs beside that."""
    files = [one for one in sorted(folder.rglob("*")) if one.suffix.lower() in (".jpg", ".png")][:COST_FILES]
    data = [one.read_bytes() for one in files]
    target, quality = DecodeTarget(short_side_px=256, long_side_px=1024), QualityModule()
    seconds = dict.fromkeys(("decode", "exif", "quality"), 0.0)
    for one in data:
        started = time.thread_time()
        image = decode_image(one, target=target)
        decoded = time.thread_time()
        quality.run([image])
        measured = time.thread_time()
        with open_encoded(one) as opened:
            orientation(opened, one)  # EXIF is parsed for it anyway
            before = time.thread_time()
            read_written(opened, one)
            seconds["exif"] += time.thread_time() - before
        seconds["decode"] += decoded - started
        seconds["quality"] += measured - decoded
    return {f"cost.{name}_ms": 1000 * value / len(data) for name, value in seconds.items()}


def main() -> None:
    """Run it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000, help="photos and copies")
    parser.add_argument("--vectors", type=int, default=100, metavar="N", help="photos of which there are vectors, too")
    parser.add_argument("--hashes", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=BITS)
    parser.add_argument("--similarity", type=float, help="of vectors; by default the classifier's own")
    parser.add_argument("--quick", action="store_true", help="1,000 images, vectors of 20 photos, 20,000 hashes")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.images, options.vectors, options.hashes = 1_000, 20, 20_000
    photos = list(cut_out([options.folder, SAMPLES], options.images // (1 + len(COPIES))))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        landing = Landing(folder)
        land(landing, photos, [QualityModule()], 1)
        for bits in TRIED:
            find_duplicates(landing, bits=bits)
            tried = score(landing, len(photos), f"bits_{bits}")
            figures |= {name: value for name, value in tried.items() if name.count(".") < 2 or name.endswith(".all")}
        report = find_duplicates(landing, bits=options.bits)
        figures |= score(landing, len(photos), "hash") | {"hash.images": report.images, "hash.seconds": report.seconds}
    if options.vectors:
        classifier = ResnetClassifierModule("efficientnet-lite0", offline=True)
        classifier.setup("cpu")
        with tempfile.TemporaryDirectory() as folder:
            landing, some = Landing(folder), photos[: options.vectors]
            land(landing, some, [QualityModule(), classifier], 1)
            report = find_duplicates(landing, bits=options.bits, similarity=options.similarity)
            figures |= score(landing, len(some), "vectors") | {"vectors.images": report.images}
            find_duplicates(landing, bits=options.bits, vectors=False)
            figures |= score(landing, len(some), "without")
    figures |= cost(options.folder)
    figures |= {"time.hashes": options.hashes, "time.seconds": time_hashes(options.hashes)}
    figures = {f"duplicates.{name}": value for name, value in figures.items()}
    rows = [
        [kind, *(figures.get(f"duplicates.{how}.{kind}", float("nan")) for how in ("hash", "vectors"))]
        for kind in ("precision", "recall.all", *(f"recall.{kind}" for kind in COPIES))
    ]
    print(f"{machine()['cores']} cores; {len(photos):,} photos, {report.images:,} images with vectors")
    print_table(["", f"hashes of {int(figures['duplicates.hash.images']):,}", "and vectors"], rows)
    tried = [(f"duplicates.bits_{bits}.precision", f"duplicates.bits_{bits}.recall.all") for bits in TRIED]
    rows = [[bits, *map(figures.get, names)] for bits, names in zip(TRIED, tried, strict=True)]
    print_table(["bits", "precision", "recall"], rows)
    print(f"{options.hashes:,} hashes: {figures['duplicates.time.seconds']:.1f} s")
    names = ("decode", "exif", "quality")
    print(", ".join(f"{name} {figures[f'duplicates.cost.{name}_ms']:.2f} ms a photo" for name in names))
    if options.json:
        settings = {"bits": options.bits, "similarity": options.similarity, "photos": len(photos)}
        packages = versions("pixelbrain", "pillow", "numpy", "scipy")
        write_json(options.json, "duplicates", settings | {"vectors": options.vectors}, figures, packages)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How close does `pixelbrain extract` come to the limit, and how far is it from what others do with the same photos?

    python benchmarks/bench_classify.py [--quick] [--rounds N] [--json FILE]

ResNet-50 over generated JPEGs of 500 px, in one run on one machine, each way in a process of its own:
- bare: the tightest loop that we know: decoding threads, the model in our form, no framework, nothing landed. It runs
  before and after each of ours, and the mean of the two is the limit.
- ours, steady: `Pipeline.extract` on Ray, from the first landed block to the last one.
- ours, cold: all of it, from the call to the return: Ray's start, the model's, landing.
- Daft at its best: our form of the model, our batch, and bytes up to the model, which Daft decodes and resizes. All
  these take turns, and the medians of the rounds count.
- on fewer photos, as they take long: Daft as its own published benchmark uses it, and tuned: with a model whose batch
  norms are folded, in our number format and channels_last; Ray Data as its documentation's example of image
  classification uses it; and, three times, a loop like the one that users come from: photo by photo, float32, a write a
  field into a mongod of ours. `_classify_peers.py` has them.
- the model alone: a batch through the tuned form and through ours, which leaves less to do beside each convolution.
- 300 photos, programs from their start to their end, with efficientnet-lite0: `pixelbrain extract`, on Ray or not as it
  chooses itself, and Daft at its best; in turns, too.

ResNet-50's weights are seeded, not trained: the official file cannot be had everywhere, and the time is the same.
"""

from __future__ import annotations

import argparse
import functools
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import _classify_peers as peers
import numpy as np
from _classify_peers import BATCH, CROP_PX, SIDE_PX, rate
from _machine import machine, print_table, versions, write_json
from bench_startup import PIXELBRAIN, measure
from PIL import Image

ResultT = TypeVar("ResultT")
COLD = 300  # photos of a laptop's first run
SLOW = {
    "daft_tuned": peers.daft_tuned,
    "daft_documented": peers.daft_as_documented,
    "ray": peers.ray_data,
    "predecessor": peers.predecessor,
}
THREADS = min(os.cpu_count() or 1, 16)


@dataclass(frozen=True)
class Sizes:
    """How much is run."""

    images: int
    of_slow: int  # fewer, where each takes long
    one_by_one: int
    rounds: int


FULL = Sizes(images=1200, of_slow=400, one_by_one=200, rounds=3)
QUICK = Sizes(images=192, of_slow=200, one_by_one=40, rounds=1)


def make_photos(folder: Path, count: int, side_px: int = 500) -> list[Path]:
    """JPEGs of smooth shapes with some noise, about as large as photos of that size are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    for index in range(count):
        waves = [np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform())) for _ in range(3)]
        pixels = 127 + 80 * np.stack(waves, axis=-1) + rng.normal(0, 8, (side_px, side_px, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index:05d}.jpg", quality=88)
    return sorted(folder.iterdir())


def some_of(photos: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """The first ones in a folder of their own."""
    folder.mkdir()
    for photo in photos[:count]:
        (folder / photo.name).hardlink_to(photo)
    return sorted(folder.iterdir())


def seeded_weights(path: Path) -> None:
    """ResNet-50's state dict with seeded numbers."""
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)


# --- the limit, and ours ---------------------------------------------------------------------------------------------


def bare(photos: Sequence[Path], weights: Path) -> float:
    """Images/s of a loop without any framework."""
    peers.wait_asleep()
    import torch

    from pixelbrain.modules.inference import run_in_parts

    torch.set_num_threads(THREADS)
    model = peers.our_resnet50(weights)
    edge = (SIDE_PX - CROP_PX) // 2
    square = (edge, edge, edge + CROP_PX, edge + CROP_PX)

    def load(path: Path) -> np.ndarray:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.draft("RGB", (SIDE_PX, SIDE_PX))
        return np.asarray(image.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR).crop(square))

    def batches() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(THREADS) as pool:
            ahead = [pool.submit(load, p) for p in photos[:BATCH]]
            for start in range(BATCH, len(photos) + BATCH, BATCH):
                now, ahead = ahead, [pool.submit(load, p) for p in photos[start : start + BATCH]]
                yield np.stack([future.result() for future in now])

    seen: list[tuple[float, int]] = []
    with torch.inference_mode():
        for batch in batches():
            run_in_parts(model, peers.normalised(batch)).float().softmax(dim=1).topk(5).values.cpu()
            seen.append((time.perf_counter(), (seen[-1][1] if seen else 0) + len(batch)))
    return rate(seen)


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
    return rate(seen), report.done / seconds


def cold(photos: Path, out: Path) -> tuple[float, float]:
    """Seconds of whole programs, ours and Daft's."""
    extract = [PIXELBRAIN, "extract", str(photos), "--offline", "--module", "resnet", "--out", str(out / "extract")]
    daft = [sys.executable, peers.__file__, str(photos), str(out / "daft")]
    return measure(extract)[0], measure(daft)[0]


# --- in turns --------------------------------------------------------------------------------------------------------


def alone(function: Callable[..., ResultT], *args: object) -> ResultT:
    """What a function returns in a process of its own: Ray, Daft and torch disturb each other in one."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        return pool.submit(function, *args).result()


def _quiet() -> None:
    """The peers' warnings are not ours."""
    warnings.simplefilter("ignore")


def run(sizes: Sizes, root: Path) -> dict[str, float]:
    """All ways, as medians of the rounds, by the names of their figures."""
    found: dict[str, list[float]] = {}

    def note(**values: float) -> None:
        for name, value in values.items():
            print(f"{name}: {value:.2f}", file=sys.stderr, flush=True)
            found.setdefault(name, []).append(value)

    made = make_photos(root / "made", max(sizes.images, COLD))
    counts = {"photos": sizes.images, "some": sizes.of_slow, "few": COLD}
    photos, some, few = (some_of(made, count, root / name) for name, count in counts.items())
    weights = root / "resnet50.pth"
    seeded_weights(weights)
    before = first = alone(bare, photos, weights)
    for number in range(sizes.rounds):
        out = root / f"round-{number}"
        (out / "best").mkdir(parents=True)
        steady, whole = alone(ours, photos[0].parent, weights, out / "out")
        after = alone(bare, photos, weights)
        limit, before = (before + after) / 2, after
        best = alone(peers.daft_at_its_best, photos, functools.partial(peers.our_resnet50, weights), out / "best")
        note(limit=limit, steady=steady, cold=whole, daft_at_its_best=best)
        note(steady_vs_limit=steady / limit, vs_daft_at_its_best=steady / best)
        extract, daft = cold(few[0].parent, out)
        note(cold_ours_s=extract, cold_daft_s=daft, cold_vs_daft=daft / extract)
    for name, way in SLOW.items():
        short = way is peers.predecessor
        for number in range(3 if short else 1):
            scratch = root / f"{name}-{number}"
            scratch.mkdir()
            note(**{name: alone(way, some[: sizes.one_by_one] if short else some, weights, scratch)})
    note(gain_resnet50=alone(peers.gain_of_our_form, functools.partial(peers.resnet50, weights)))
    note(gain_efficientnet=alone(peers.gain_of_our_form, peers.efficientnet))
    middle = {name: statistics.median(values) for name, values in found.items()}
    limit, steady = middle["limit"], middle["steady"]
    return {
        "classify.bare.images_per_s": limit,
        "classify.bare.drift": before / first,
        **{f"classify.{name}.images_per_s": middle[name] for name in ("steady", "cold", "daft_at_its_best", *SLOW)},
        "classify.steady_vs_limit": middle["steady_vs_limit"],
        **{f"classify.{name}_vs_limit": middle[name] / limit for name in ("cold", "daft_at_its_best", *SLOW)},
        "classify.vs_daft_at_its_best": middle["vs_daft_at_its_best"],
        **{f"classify.vs_{name}": steady / middle[name] for name in SLOW},
        **{f"classify.our_form.{name}": middle[f"gain_{name}"] for name in ("resnet50", "efficientnet")},
        f"classify.cold_{COLD}.ours.seconds": middle["cold_ours_s"],
        f"classify.cold_{COLD}.daft.seconds": middle["cold_daft_s"],
        f"classify.cold_{COLD}_vs_daft": middle["cold_vs_daft"],
    }


ROWS = {
    "bare": "bare loop, the limit",
    "steady": "pixelbrain extract, steady",
    "cold": "pixelbrain extract, cold",
    "daft_at_its_best": "Daft at its best",
    "daft_tuned": "Daft tuned: folded, our format, channels_last",
    "daft_documented": "Daft as its own benchmark uses it",
    "ray": "Ray Data as documented",
    "predecessor": "photo by photo, a write a field",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few photos, one round: a look, no figure to quote")
    parser.add_argument("--rounds", type=int, metavar="N", help="of those that take turns; 3 if it is not --quick")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    sizes = replace(sizes, rounds=arguments.rounds or sizes.rounds)
    with tempfile.TemporaryDirectory() as temporary:
        figures = run(sizes, Path(temporary))
    vs_limit = {name: figures.get(f"classify.{name}_vs_limit", 1) for name in ROWS}
    rates = {name: figures[f"classify.{name}.images_per_s"] for name in ROWS}
    print_table(
        ["ResNet-50, 500 px JPEGs", "images/s", "of the limit"],
        [[row, f"{rates[name]:.1f}", f"{vs_limit[name]:.2f}"] for name, row in ROWS.items()],
    )
    gains = [figures[f"classify.our_form.{name}"] for name in ("resnet50", "efficientnet")]
    print(f"\nOur form is as fast as tuned: ResNet-50 {gains[0]:.2f} times, efficientnet-lite0 {gains[1]:.2f} times")
    seconds = [figures[f"classify.cold_{COLD}.{who}.seconds"] for who in ("ours", "daft")]
    print(f"{COLD} photos cold, efficientnet-lite0: ours {seconds[0]:.1f} s, Daft {seconds[1]:.1f} s")
    device, dtype = peers.device(), peers.our_dtype()
    drift = figures["classify.bare.drift"]
    print(f"{sizes}, {dtype}, {machine()}; the bare loop's last run was {drift:.2f} of its first")
    if arguments.json:
        settings = {**asdict(sizes), "side_px": 500, "batch": BATCH, "threads": THREADS, "device": device}
        used = versions("pixelbrain", "daft", "ray", "torch", "torchvision", "pillow", "pymongo")
        write_json(arguments.json, "classify", {**settings, "dtype": str(dtype)}, figures, used)


if __name__ == "__main__":
    sys.exit(main())

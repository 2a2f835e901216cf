"""Steps of bench_costs.py: from a finished row to the stores, and to the neighbours of a face."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _cost import Cost, core_ms
from bench_load import write_vectors
from synthetic_rows import ROWS, directions, document

__all__ = ["documents", "landing", "neighbours", "vectors"]

BLOCK = 256  # rows of a part file, where blocks are the largest
CLASSIFIER_DIM, FACE_DIM = 2048, 512


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def landed_rows(block: int, count: int) -> Any:
    """Rows as ResNet-50 and FaceNet make them, a face in each image."""
    import pyarrow as pa

    from pixelbrain import schema

    vectors, faces = directions(2 * block, CLASSIFIER_DIM), directions(2 * block + 1, FACE_DIM)
    rows = [document(block * ROWS + number) for number in range(count)]
    for number, row in enumerate(rows):
        place = {"x1": 10.5, "y1": 20.5, "x2": 90.1, "y2": 110.7, "landmarks": [float(number)] * 10}
        quality = {"score": 0.99, "sharpness": 300.0, "embedding": faces[number]}
        row["resnet"]["embedding"] = vectors[number]
        row["facenet"] = {"n_faces": 1, "faces": [{"face_id": f"{row['image_id']}#0", **place, **quality}]}
    columns = [
        pa.field("resnet", schema.module_struct(schema.classifier_fields(CLASSIFIER_DIM))),
        pa.field("facenet", schema.module_struct(schema.faces_fields(FACE_DIM))),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([*schema.BASE_FIELDS, *columns]))


def landing(root: Path, files: int) -> Iterator[Cost]:
    """Part files of 256 rows and of one, and what a later run and a load remember of them."""
    import pyarrow as pa

    from pixelbrain.landing.compact import compact
    from pixelbrain.landing.landing import Landing
    from pixelbrain.landing.parts import ModuleState, claim_generation
    from pixelbrain.landing.remaining import Remaining

    out = Landing(root / "out")
    states = {name: ModuleState(settings={}, model=None) for name in ("resnet", "facenet")}
    tables = [landed_rows(block, BLOCK) for block in range(files)]
    generation = claim_generation(out.storage)

    def write(block: int, table: Any) -> None:
        out.write_part(table, generation=generation, block=block, piece=0, modules=states)

    def seconds(start: int, tables: list[Any]) -> float:
        began = time.perf_counter()
        for number, table in enumerate(tables, start):
            write(number, table)
        return (time.perf_counter() - began) / len(tables)

    used = core_ms(lambda: seconds(0, tables), files * BLOCK)
    full = seconds(0, tables)
    few = seconds(files, [table.slice(0, 1) for table in tables])
    yield Cost("landing, with both vectors", used, "core ms")
    yield Cost("landing a file of 1 row", few * 1e3, "ms")
    yield Cost(f"landing a file of {BLOCK} rows", full * 1e3, "ms")
    for number in range(files):
        out.storage.delete(f"images/part-{generation:06d}-{files + number:08d}-000.parquet")
    images = files * BLOCK
    yield Cost(f"Parquet, files of {BLOCK} rows, both vectors", folder_bytes(root / "out" / "images") / images, "bytes")

    tracemalloc.start()
    held = Remaining(out, {name: state.settings_hash for name, state in states.items()})
    yield Cost("plan of what is left, held for a landed image", tracemalloc.get_traced_memory()[0] / images, "bytes")
    tracemalloc.stop()
    assert not held.split(tables[0].select(["image_id", "version", "size_bytes"]))
    again = core_ms(lambda: Remaining(out, {"resnet": states["resnet"].settings_hash}), images)
    yield Cost("plan of what is left, a landed image", again, "core ms")
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    out.refresh()
    assert len(out.index.part) == images
    index = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    yield Cost("index of a load, held for an image", index / images, "bytes")
    start = time.perf_counter()
    report = compact(out)
    yield Cost("compact", report.rows / (time.perf_counter() - start), "images/s")
    yield Cost("Parquet, compacted", report.bytes_after / report.rows, "bytes")


# --- stores and neighbours -------------------------------------------------------------------------------------------


def documents(root: Path, count: int) -> Iterator[Cost]:
    """Documents of 500 bytes or so, with their indexes."""
    from pixelbrain.stores.mongo.connection import connect
    from pixelbrain.stores.mongo.embedded import EmbeddedMongo
    from pixelbrain.stores.mongo.upsert import create_indexes, upsert_images

    with EmbeddedMongo(root / "mongo") as mongod:
        database = connect(mongod.uri.replace("/?", "/bench?"))
        create_indexes(database["images"])
        start = time.perf_counter()
        upsert_images(database["images"], map(document, range(count)), landed=True)
        yield Cost("MongoDB, new documents", count / (time.perf_counter() - start), "documents/s")
        database.client.admin.command("fsync")
        stats = database.command("collStats", "images")
        database.client.close()
    assert stats["count"] == count
    yield Cost("MongoDB, a document as sent", stats["size"] / count, "bytes")
    yield Cost("MongoDB, a document on disk, compressed", stats["storageSize"] / count, "bytes")
    yield Cost("MongoDB, a document's index entries", stats["totalIndexSize"] / count, "bytes")


def vectors(root: Path, counts: tuple[int, ...]) -> Iterator[Cost]:
    """Faces' vectors into ChromaDB, embedded, by one writer."""
    import psutil

    from pixelbrain.schema import ModelInfo
    from pixelbrain.stores.chroma.collections import VectorStore

    folder = root / "chroma"
    store = VectorStore(str(folder))
    store.ensure("images", ModelInfo(model="random", weights_sha256="", dim=FACE_DIM))
    process = psutil.Process()
    store.close()
    before, done = process.memory_info().rss, 0
    for count in counts:
        write_vectors(str(folder), FACE_DIM, list(range(done // ROWS, count // ROWS - 2)))
        start = time.perf_counter()
        write_vectors(str(folder), FACE_DIM, [count // ROWS - 2, count // ROWS - 1])
        yield Cost(f"ChromaDB, new vectors at {count:,}", 2 * ROWS / (time.perf_counter() - start), "vectors/s")
        done = count
    yield Cost("ChromaDB, a vector of 512 on disk", folder_bytes(folder) / done, "bytes")
    yield Cost("ChromaDB, a vector of 512 in memory, at most", (process.memory_info().rss - before) / done, "bytes")


def neighbours(faces: tuple[int, ...]) -> Iterator[Cost]:
    """The 20 nearest of every face, all pairs compared, with all cores."""
    import torch
    from synthetic_faces import make_faces

    from pixelbrain.identity.neighbours import nearest_neighbours

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    for count in faces:
        found = make_faces(count, FACE_DIM, 0).vectors
        used = time.process_time()
        nearest_neighbours(found, 20)
        yield Cost(f"neighbours of all of {count:,} faces", time.process_time() - used, "core s")

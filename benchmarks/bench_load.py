"""How fast the stores take documents and vectors: by number of writers, embedded against server, and a whole load.

    python benchmarks/bench_load.py [--quick] [--json FILE]

A real mongod and a real `chroma run` on this machine, both empty at first. "new" is what the store does not have,
"again" what it has unchanged, as in a load that is repeated. Writers are threads of one process, or processes, as
several loads at once; each has its share of the batches of 500, and its own connection. Vectors are random
directions, the hardest to index. All cases are run in turn, several times; the table has medians, and the ratio to one
thread (of a load: to the stores one after another). Rows are counted afterwards, and 200 vectors asked for themselves.

"bare" is the client alone, one thread: pymongo's bulk upserts of the same documents into the same indexes, with the
same write concern, and chromadb's upsert of the same vectors. `load.mongo_vs_bare` and `load.chroma_vs_bare` are ours
by it, `load.second_vs_first` how many times as fast a load of 10,000 images is that has nothing new, ChromaDB embedded:
each the median of the rounds' ratios. `--only bare` runs no more than these take, with 512 numbers a vector. `--quick`
has no `load.second_vs_first`: most of a second load is a fresh process that opens the index, to see that it is sound,
which a first load of 2,000 images is too short to be compared with.
Where both stores are embedded, the command opens none: that is in bench_rerun.py.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from _machine import machine, print_table, versions, write_json
from synthetic_rows import ROWS, directions, document, image_id, land

ASKED = 200
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["pixelbrain.stores.chroma.collections", "pixelbrain.stores.mongo.upsert"]
)  # imported once, not 100 times


@dataclass(frozen=True)
class Sizes:
    """How much is run."""

    batches: int  # of vectors; of documents, which are quicker, four times as many
    writers: tuple[int, ...]
    dims: tuple[int, ...]
    images: int  # of a whole load
    repeats: int


FULL = Sizes(batches=8, writers=(1, 2, 4, 8), dims=(512, 2048), images=10_000, repeats=3)
QUICK = Sizes(batches=4, writers=(1, 4), dims=(512,), images=2_000, repeats=1)


_LOAD = "load, ChromaDB embedded, abreast"


def _beside_bare(title: str) -> bool:
    """Whether it is a bare client's case, or the one that it is compared with."""
    return "to servers" not in title and "embedded" not in title and title.endswith((", bare", ", 1 thread"))


# --- writers ---------------------------------------------------------------------------------------------------------


def write_documents(uri: str, blocks: list[int]) -> None:
    """One writer's share of the documents."""
    from pixelbrain.stores.mongo.connection import connect
    from pixelbrain.stores.mongo.upsert import upsert_images

    database = connect(uri)
    first = database["images"].find_one({}, {"_id": 1}) is None  # as a load: then nothing is asked for
    for block in blocks:
        docs = map(document, range(block * ROWS, (block + 1) * ROWS))
        upsert_images(database["images"], docs, landed=True, rewrite=first)
    database.client.close()


def write_vectors(location: str, dim: int, blocks: list[int]) -> None:
    """One writer's share of the vectors."""
    from pixelbrain.stores.chroma.collections import VectorStore
    from pixelbrain.stores.vectors import VectorBatch

    store = VectorStore(location)
    first = store.count("images") == 0  # as a load: then nothing is asked for
    metadata = [{"version": "1", "label": "tabby"}] * ROWS
    for block in blocks:
        ids = [image_id(number) for number in range(block * ROWS, (block + 1) * ROWS)]
        batch = VectorBatch(ids=ids, vectors=directions(block, dim), metadata=metadata)
        store.upsert("images", batch, rewrite=first)
    store.close()


def write_documents_barely(uri: str, blocks: list[int]) -> None:
    """As `write_documents`, by pymongo alone."""
    from pymongo import MongoClient, UpdateOne, WriteConcern

    with MongoClient(uri) as client:
        images = client.get_default_database().get_collection("images", write_concern=WriteConcern("majority", j=True))
        for block in blocks:
            docs = map(document, range(block * ROWS, (block + 1) * ROWS))
            images.bulk_write(
                [UpdateOne({"_id": one["_id"]}, {"$set": one}, upsert=True) for one in docs], ordered=False
            )


def write_vectors_barely(location: str, dim: int, blocks: list[int]) -> None:
    """As `write_vectors`, by chromadb alone; `location` is a server's."""
    from urllib.parse import urlsplit

    import chromadb

    server = urlsplit(location)
    images = chromadb.HttpClient(host=server.hostname, port=server.port).get_collection(
        "images", embedding_function=None
    )
    metadata = [{"version": "1", "label": "tabby"}] * ROWS
    for block in blocks:
        ids = [image_id(number) for number in range(block * ROWS, (block + 1) * ROWS)]
        images.upsert(ids=ids, embeddings=directions(block, dim), metadatas=metadata)


# --- how it is written -----------------------------------------------------------------------------------------------


def seconds_by(pool: Executor, writers: int, blocks: int, write: Callable[[list[int]], None]) -> float:
    """Seconds until all blocks are written."""
    shares = [list(range(first, blocks, writers)) for first in range(writers)]
    start = time.perf_counter()
    list(pool.map(write, shares))
    return time.perf_counter() - start


def measure_documents(
    uri: str, *, pool: Executor, writers: int, blocks: int, writer: Callable[..., None] = write_documents
) -> dict[str, float]:
    """Documents a second, new and again."""
    from pixelbrain.stores.mongo.connection import connect
    from pixelbrain.stores.mongo.upsert import create_indexes

    database = connect(uri)
    database.client.drop_database(database.name)
    create_indexes(database["images"])
    write = partial(writer, uri)
    rates = {phase: blocks * ROWS / seconds_by(pool, writers, blocks, write) for phase in ("new", "again")}
    assert database["images"].count_documents({}) == blocks * ROWS
    database.client.close()
    return rates


def measure_vectors(
    location: str, dim: int, *, pool: Executor, writers: int, blocks: int, writer: Callable[..., None] = write_vectors
) -> dict[str, float]:
    """Vectors a second, new and again."""
    from pixelbrain.schema import ModelInfo
    from pixelbrain.stores.chroma.collections import VectorStore

    store = VectorStore(location)
    store.drop("images")
    store.ensure("images", ModelInfo(model="random", weights_sha256="", dim=dim))
    write = partial(writer, location, dim)
    rates = {phase: blocks * ROWS / seconds_by(pool, writers, blocks, write) for phase in ("new", "again")}
    assert store.count("images") == blocks * ROWS
    asked = directions(blocks - 1, dim)[:ASKED]
    found = store.query("images", asked, n_results=1)
    first = (blocks - 1) * ROWS
    rates["recall"] = sum(row[0].id == image_id(first + n) for n, row in enumerate(found)) / ASKED
    store.close()
    return rates


def measure_load(out: Path, mongo: str, chroma: str, *, abreast: bool) -> dict[str, float]:
    """Images a second of a whole load, new and again; its own look at the index is part of it."""
    from pixelbrain.landing.landing import Landing
    from pixelbrain.stores import load as load_file
    from pixelbrain.stores.database import Database

    as_it_is = load_file.write_in_parallel
    landing, rates = Landing(out), {}
    with Database.open(out, mongo=mongo, chroma=chroma) as database:
        database.delete()
        try:
            if not abreast:
                load_file.write_in_parallel = _in_turn
            for phase in ("new", "again"):
                report = load_file.load(landing, database)
                rates[phase] = report.images / report.seconds
                assert report.images == report.image_vectors == landing.count_images() and not report.rebuilt
        finally:
            load_file.write_in_parallel = as_it_is
    return rates


def _in_turn(batches: Any, *writers: Callable[[Any], object]) -> Iterator[Any]:
    for batch in batches:
        for write in writers:
            write(batch)
        yield batch


# --- servers ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[str, str]]:
    """A mongod and a `chroma run` with their files in `folder`: their addresses."""
    from pixelbrain.errors import StoreError
    from pixelbrain.stores.chroma.collections import VectorStore
    from pixelbrain.stores.mongo.embedded import EmbeddedMongo

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder / "server")]
    with EmbeddedMongo(folder / "mongo") as mongod:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    VectorStore(f"http://localhost:{port}").close()
                    break
                except StoreError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise
                    time.sleep(0.1)
            yield mongod.uri.replace("/?", "/bench?"), f"http://localhost:{port}"
        finally:
            process.terminate()
            process.wait()


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    base: str  # the case that it is compared with
    measure: Callable[[], dict[str, float]]


def cases(sizes: Sizes, folder: Path, mongo: str, chroma: str) -> dict[str, Case]:
    """By the row's title."""
    found: dict[str, Case] = {}
    pools = [(f"{n} thread{'s' * (n > 1)}", n, partial(ThreadPoolExecutor, n)) for n in sizes.writers]
    pools += [
        (f"{n} process{'es' * (n > 1)}", n, partial(ProcessPoolExecutor, n, mp_context=CONTEXT)) for n in sizes.writers
    ]
    for many, writers, make in pools:
        write = partial(measure_documents, mongo, writers=writers, blocks=4 * sizes.batches)
        found[f"documents, {many}"] = Case("documents, 1 thread", partial(_in_pool, make, writers, write))
    alone = partial(measure_documents, mongo, writers=1, blocks=4 * sizes.batches, writer=write_documents_barely)
    found["documents, bare"] = Case("documents, 1 thread", partial(_in_pool, pools[0][2], 1, alone))
    for dim in sizes.dims:
        base = f"vectors {dim}-d to the server, 1 thread"
        for many, writers, make in pools:
            write = partial(measure_vectors, chroma, dim, writers=writers, blocks=sizes.batches)
            found[f"vectors {dim}-d to the server, {many}"] = Case(base, partial(_in_pool, make, writers, write))
        embedded = partial(measure_vectors, str(folder / f"embedded-{dim}"), dim, writers=1, blocks=sizes.batches)
        alone = partial(measure_vectors, chroma, dim, writers=1, blocks=sizes.batches, writer=write_vectors_barely)
        make = partial(ThreadPoolExecutor, 1)
        found[f"vectors {dim}-d to the server, bare"] = Case(base, partial(_in_pool, make, 1, alone))
        found[f"vectors {dim}-d embedded, 1 thread"] = Case(base, partial(_in_pool, make, 1, embedded))
    for where, location in (("to servers", chroma), ("ChromaDB embedded", str(folder / "embedded-load"))):
        for how in ("in turn", "abreast"):
            whole = partial(measure_load, folder / "out", mongo, location, abreast=how == "abreast")
            found[f"load, {where}, {how}"] = Case(f"load, {where}, in turn", whole)
    return found


def _in_pool(make: Callable[[], Executor], writers: int, measure: Callable[..., dict[str, float]]) -> dict[str, float]:
    with make() as pool:
        list(pool.map(_warm_up, range(writers)))
        return measure(pool=pool)


def _warm_up(_number: int) -> None:
    """Import what a writer needs, and stay long enough for the pool to start all its processes."""
    import pixelbrain.stores.chroma.collections
    import pixelbrain.stores.mongo.upsert  # noqa: F401

    time.sleep(0.2)


def ratios_to_bare(runs: Sequence[dict[str, dict[str, float]]], sizes: Sizes) -> dict[str, float]:
    """Ours by the bare clients, and a load with nothing new by the first, each the median of the rounds."""
    server = f"vectors {sizes.dims[0]}-d to the server"
    pairs = {
        "load.mongo_vs_bare": (("documents, 1 thread", "new"), ("documents, bare", "new")),
        "load.chroma_vs_bare": ((f"{server}, 1 thread", "new"), (f"{server}, bare", "new")),
    }
    if sizes.images >= FULL.images:
        pairs["load.second_vs_first"] = ((_LOAD, "again"), (_LOAD, "new"))
    return {
        name: statistics.median(run[a][phase_a] / run[b][phase_b] for run in runs)
        for name, ((a, phase_a), (b, phase_b)) in pairs.items()
    }


def main() -> None:
    """Parse, run all cases in turn, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, once each: a minute or two")
    parser.add_argument("--only", choices=["bare"], help="one writer beside the bare clients, and a load")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    if arguments.only:
        sizes = replace(sizes, dims=sizes.dims[:1])
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name, servers(Path(name)) as (mongo, chroma):
        land(Path(name) / "out", sizes.images, sizes.dims[-1])
        every = cases(sizes, Path(name), mongo, chroma)
        if arguments.only:
            every = {title: case for title, case in every.items() if title == _LOAD or _beside_bare(title)}
        runs = [{title: case.measure() for title, case in every.items()} for _ in range(sizes.repeats)]
    middle = {
        title: {key: statistics.median(run[title][key] for run in runs) for key in runs[0][title]} for title in every
    }
    figures: dict[str, float] = {}
    rows = []
    for title, case in every.items():
        phases, base = ("new", "again"), middle.get(case.base)  # None: it was not run
        ratios = {key: middle[title][key] / base[key] for key in phases} if base else {}
        rows.append([title, *(value for key in phases for value in (round(middle[title][key]), ratios.get(key, "")))])
        dotted = title.replace(", ", ".").replace(" ", "_")
        figures |= {f"load.{dotted}.{key}": value for key, value in middle[title].items()}
        figures |= {f"load.{dotted}.ratio_{key}": value for key, value in ratios.items()}
    figures |= (bare := ratios_to_bare(runs, sizes))
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    print_table(["", "new rows/s", "ratio", "again rows/s", "ratio"], rows)
    for name, ratio in bare.items():
        print(f"{name}: {ratio:.2f}")
    if arguments.json:
        settings = {"rows_a_batch": ROWS, **asdict(sizes), "quick": arguments.quick, "only": arguments.only or "all"}
        write_json(arguments.json, "load", settings, figures, versions("chromadb", "pymongo", "numpy", "pyarrow"))


if __name__ == "__main__":
    main()

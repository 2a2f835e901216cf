"""Steps of bench_pipeline.py's table: what an image costs in each, in microseconds of one core, without Ray."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _cost import BATCH, core_ms
from _small_images import make_small_images, nothing
from PIL import Image

__all__ = ["bare_decode", "steps"]

_TRIES = 3  # the least of them: what else runs on the machine is no part of a step


def bare_decode(data: bytes) -> np.ndarray:
    """Pixels as whoever writes a loop gets them."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def steps(photos: Path, out: Path) -> dict[str, float]:
    """Microseconds of a core an image, by step; `out` is an empty folder."""
    import pyarrow as pa

    import pixelbrain as pb
    from pixelbrain.engine.work.chunks import Chunk, pack, unpack
    from pixelbrain.engine.work.loaded_modules import LoadedModules
    from pixelbrain.engine.work.meter import Meter
    from pixelbrain.engine.work.opener import Opener
    from pixelbrain.engine.work.pictures import thumbnail_of
    from pixelbrain.engine.work.tally import Tally
    from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
    from pixelbrain.images.decode import decode_image
    from pixelbrain.landing.landing import Landing
    from pixelbrain.landing.parts import ModuleState, claim_generation
    from pixelbrain.sources import read_bytes

    loader, landing, module = pb.DataLoader(str(photos)), Landing(out), nothing()
    names, states = ["nothing"], {"nothing": ModuleState(settings={}, model=None)}
    generation = claim_generation(landing.storage)
    order = WorkOrder(storage=landing.storage, generation=generation, states=states, threads=1)
    tables = list(loader.list_images())
    images = sum(map(len, tables))
    found: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> None:
        found[name] = min(core_ms(work, images) for _ in range(_TRIES)) * 1e3

    step("listing", lambda: list(loader.list_images()))
    hashes = {"nothing": states["nothing"].settings_hash}
    worklist = Worklist(
        loader=loader, storage=landing.storage, settings_hashes=hashes, generation=generation, tables=tables
    )
    step("worklist", lambda: [block.to_pylist() for block in blocks(worklist, 8 * BATCH)])
    entries = [one for block in blocks(worklist, 8 * BATCH) for one in block.to_pylist()[0]["images"]]
    ids = [entry["image_id"] for entry in entries]
    paths = sorted(photos.rglob("*.jpg"))
    step("bare: reading", lambda: [path.read_bytes() for path in paths])
    step("reading", lambda: [read_bytes(one) for one in ids])
    held = [path.read_bytes() for path in paths]

    def each(work: Callable[[bytes], Any]) -> Callable[[], Any]:
        return lambda: collections.deque(map(work, held), maxlen=1)  # the pixels of all would be gigabytes

    step("bare: decoding", each(bare_decode))
    step("decoding", each(lambda data: decode_image(data, image_id="one")))
    step("sha256", lambda: [hashlib.sha256(data).hexdigest() for data in held])
    few = [decode_image(data, image_id="one") for data in held[:BATCH]]
    found["thumbnail, if it is wanted"] = min(
        core_ms(lambda: [thumbnail_of(image) for image in few], len(few)) * 1e3 for _ in range(_TRIES)
    )
    cut = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    kept = [
        dataclasses.replace(one, inputs={"nothing": [None] * len(one.rows)})
        for one in Opener(order, Meter()).batches(cut, [module])
    ]
    found["row of it"] = _row_us(out.parent / "tiny", order, module)
    loaded = LoadedModules([module], "cpu", 1, Meter())
    rows: list[pa.Table] = []

    def columns() -> None:
        rows.clear()
        for batch in kept:
            column, _ = loaded.run("nothing", len(batch.rows), batch.good, batch.inputs["nothing"])
            rows.append(batch.rows.append_column("nothing", column))

    step("module's column", columns)
    step("tally", lambda: [Tally().add(table, names) for table in rows])
    pieces = [pa.concat_tables(rows[start : start + 8]) for start in range(0, len(rows), 8)]
    step("landing", lambda: [order.land(piece, names, number, 0, Meter()) for number, piece in enumerate(pieces)])
    pixels = [few[0].pixels] * BATCH
    hops = 50

    def staged() -> None:
        for _ in range(hops):
            given = {"rows": kept[0].rows, "good": list(range(BATCH)), "inputs": {"nothing": pixels}}
            decoded = pack([Chunk(block=0, piece=0, modules=names, **given)], names)
            (chunk,) = unpack(decoded)
            chunk.take_input("nothing")
            unpack(pack([chunk], []))

    found["staged: between its three actors"] = min(core_ms(staged, hops * BATCH) * 1e3 for _ in range(_TRIES))
    return found


def _row_us(folder: Path, order: Any, module: Any) -> float:
    """What opening an image costs beside reading, hashing and decoding: of tiny ones, where these are little."""
    import pixelbrain as pb
    from pixelbrain.engine.work.meter import Meter
    from pixelbrain.engine.work.opener import Opener
    from pixelbrain.images.decode import decode_image
    from pixelbrain.sources import read_bytes

    (table,) = pb.DataLoader(str(make_small_images(folder, 1000, side_px=8))).list_images()
    entries = table.to_pylist()
    cut = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    opener = Opener(order, Meter())

    def plain() -> None:
        for entry in entries:
            data = read_bytes(entry["image_id"])
            hashlib.sha256(data).hexdigest()
            decode_image(data, image_id="one")

    works = [lambda: list(opener.batches(cut, [module])), plain]
    whole, parts = (min(core_ms(work, len(entries)) for _ in range(2 * _TRIES)) for work in works)
    return (whole - parts) * 1e3

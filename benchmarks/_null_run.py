"""Our engine with a module that sleeps: how many images a second actors would do if there were cores for all of them.

The module sleeps for as long as a model takes, and its preprocessing for as long as a decoder does. All else is real:
listing, Ray Data's scheduling, landing, summaries. `service_times` measures the same steps one by one, without Ray.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from _queueing import Shape, Times

__all__ = ["measure", "ray_here", "service_times"]

LOGICAL_CPUS = 16
_STORE_BYTES = 512 * 1024**2
_TRIES = 4


def make_images(folder: Path, count: int) -> None:
    """So many names of one small image, as only its being there matters."""
    from PIL import Image

    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    for number in range(1, count):
        os.link(folder / "0.png", folder / f"{number}.png")


def sleeper(seen: Path, times: Times, batch: int) -> Any:
    """A module that computes nothing. Each actor that runs it leaves a file in `seen`."""
    import numpy as np
    import pyarrow as pa

    from pixelbrain import PipelineModule, Resources

    class Sleeper(PipelineModule):
        name = "sleeper"
        resources = Resources(batch_size=batch, memory_bytes=0, input_bytes=3 * 224 * 224)

        def fields(self) -> list[pa.Field]:
            return [pa.field("seen", pa.bool_())]

        def setup(self, device: str = "cpu") -> None:
            (seen / str(os.getpid())).touch()

        def preprocess(self, image: Any) -> np.ndarray:
            time.sleep(times.decode)
            return np.zeros((224, 224, 3), np.uint8)

        def process_batch(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
            time.sleep(times.model * len(inputs))
            return [{"seen": True}] * len(inputs)

    return Sleeper()


def service_times(folder: Path, shape: Shape, times: Times) -> Times:
    """The times of one service after the other in this process: what the simulation is given.

    The least of several tries each: what else runs on the machine makes a service longer, and is no part of it.

    Args:
        folder: an empty one.
        shape: its block is measured.
        times: what the module sleeps; its other times are replaced.
    """
    tries = []
    for number in range(_TRIES):
        (folder / f"try{number}").mkdir()
        tries.append(_one_by_one(folder / f"try{number}", shape, times))
    return Times(**{field.name: min(getattr(one, field.name) for one in tries) for field in dataclasses.fields(Times)})


def _one_by_one(folder: Path, shape: Shape, times: Times) -> Times:
    import pyarrow as pa

    import pixelbrain as pb
    from pixelbrain.engine.work.chunks import Chunk, pack, unpack
    from pixelbrain.engine.work.loaded_modules import module_column
    from pixelbrain.engine.work.meter import Meter
    from pixelbrain.engine.work.opener import Opener
    from pixelbrain.engine.work.run_notes import RunNotes
    from pixelbrain.engine.work.worklist import WorkOrder
    from pixelbrain.landing.landing import Landing
    from pixelbrain.landing.parts import ModuleState, claim_generation

    make_images(folder / "photos", shape.block)
    (entries,) = (table.to_pylist() for table in pb.DataLoader(str(folder / "photos")).list_images())
    module, landing = sleeper(folder, times, shape.batch), Landing(folder / "out")
    notes, order = RunNotes(landing.storage), WorkOrder(storage=landing.storage, generation=1, states={}, threads=1)
    claim_generation(landing.storage)
    began = time.perf_counter()
    (batch,) = Opener(order, Meter()).batches([entries], [module])
    decoded = time.perf_counter()
    chunk = Chunk(block=0, piece=0, modules=["sleeper"], rows=batch.rows, good=batch.good, inputs=batch.inputs)
    given = unpack(pack([chunk], ["sleeper"]))[0].take_input("sleeper")
    handed = time.perf_counter()
    rows = batch.rows.append_column(
        "sleeper", module_column(len(given), batch.good, [{"seen": True}] * len(given), module)
    )
    made = time.perf_counter()

    def land(table: pa.Table, block: int) -> float:
        start = time.perf_counter()
        state = {"sleeper": ModuleState(settings={}, model=None)}
        landing.write_part(table, generation=1, block=block, piece=0, modules=state)
        return time.perf_counter() - start

    land(rows, 0)
    whole, one = min(land(rows, 1 + number) for number in range(5)), min(land(rows[:1], 9) for _ in range(5))
    start = time.perf_counter()
    landing.block_so_far(1, 99)
    notes.begin("99")
    notes.end()
    block = time.perf_counter() - start
    return dataclasses.replace(
        times,
        decode=(decoded - began) / len(entries),
        hand_over=(handed - decoded) / len(entries) / 2,
        model=times.model + (made - handed) / len(entries),
        file=one,
        row=max(0.0, whole - one) / len(entries),
        block=block,
    )


@contextlib.contextmanager
def ray_here() -> Iterator[None]:
    """A Ray of our own with more logical CPUs than the machine has, which the engine joins."""
    from pixelbrain.engine.cluster.session import RAY_ENVIRONMENT

    os.environ.update(RAY_ENVIRONMENT)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_SCHEDULER_EVENTS"] = "0"  # no advice about more workers than cores: they sleep
    import ray

    ray.init(
        address="local",
        num_cpus=LOGICAL_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=_STORE_BYTES,
    )
    try:
        yield
    finally:
        ray.shutdown()


def measure(folder: Path, shape: Shape, times: Times, images: int) -> dict[str, float]:
    """Run the engine in this shape.

    Args:
        folder: an empty one.
        shape: of its pools; what is S3's in it does not count.
        times: what the module sleeps.
        images: enough that all actors are at work before they are all done.

    Returns:
        images_per_s: while all actors are at work; seconds: for so long.
        driver_busy: the part of it in which the driver's process used a core; tasks_per_s: that it served meanwhile.
    """
    import psutil

    import pixelbrain as pb

    photos, seen = folder / "photos", folder / "seen"
    make_images(photos, images)
    seen.mkdir()
    told: list[tuple[float, int, float]] = []
    all_at_work: list[float] = []
    driver = psutil.Process()

    def progress(done: int, _total: int, _failed: int) -> None:
        used = driver.cpu_times()
        told.append((time.perf_counter(), done, used.user + used.system))
        if not all_at_work and len(os.listdir(seen)) >= shape.actors:
            all_at_work.append(told[-1][0])

    module = sleeper(seen, times, shape.batch)
    with _pinned(shape):
        report = pb.Pipeline(pb.DataLoader(str(photos)), [module], placement=_placement(shape)).extract(
            folder / "out", progress=progress
        )
    assert report.done == images and not report.failed
    nearly = images - 2 * shape.actors * shape.block
    window = [one for one in told if one[0] >= all_at_work[0] + 1 and one[1] <= nearly]
    (began, first, cpu_first), (ended, last, cpu_last) = window[0], window[-1]
    tasks = 1 / shape.block if shape.layout == "fused" else 1 / shape.block + 2 / shape.chunk
    return {
        "images_per_s": (last - first) / (ended - began),
        "seconds": ended - began,
        "driver_busy": (cpu_last - cpu_first) / (ended - began),
        "tasks_per_s": (last - first) * tasks / (ended - began),
    }


def _placement(shape: Shape) -> Any:
    from pixelbrain.config import Placement

    if shape.layout == "fused":
        actors, cpus = {"images": str(shape.actors)}, {"images": float(shape.threads)}
    else:
        actors = {"sleeper": str(shape.actors), "decode": str(shape.decoders), "land": str(shape.landers)}
        cpus = {"sleeper": 0.5, "decode": float(shape.threads), "land": 0.25}
    return Placement(layout=shape.layout, actors=actors, cpus_per_actor=cpus, device="cpu")


@contextlib.contextmanager
def _pinned(shape: Shape) -> Iterator[None]:
    """Blocks and chunks of the shape's sizes; the engine's own grow with the number of images."""
    from pixelbrain.engine import passes

    original = passes.make_plan

    def make_plan(*arguments: Any) -> Any:
        chunk = shape.chunk if shape.layout == "staged" else 0
        return dataclasses.replace(original(*arguments), block_rows=shape.block, chunk_rows=chunk)

    passes.make_plan = make_plan
    try:
        yield
    finally:
        passes.make_plan = original

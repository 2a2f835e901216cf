"""How throughput grows with actors, and where it bends: measured on a real Ray, simulated, and drawn out to clusters.

    python benchmarks/bench_scaling.py [--quick] [--simulate-only] [--json FILE]

Measured (`_null_run.py`): our engine on a Ray with 16 logical CPUs, and a module that sleeps for as long as a model
takes, so that eight actors fit on two cores. The rate is that from the moment when all actors are at work to the one
when some have nothing left. Both layouts: fused, which is bound by the model, and staged, with four actors that decode,
which are too few for eight that classify.

Simulated (`_queueing.py`): the same shapes, with service times that were measured one by one without Ray, and what a
task costs the driver, which is measured with blocks of one image. "error" is what the simulation says too much.

Drawn out: the same simulation with service times of real models. No card was here: its rate is an assumption, see
`cluster/SCALING.md`. "first bottleneck" is what is busy nearly all the time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from _machine import machine, print_table, versions, write_json
from _null_run import measure, ray_here, service_times
from _queueing import Shape, Times, simulate

#: What the null module sleeps for an image, in seconds: about what bench_classify.py and bench_costs.py measured.
MODEL_S = 0.028  # ResNet-50 in bfloat16 on two cores
DECODE_S = 0.0045  # and preprocess a photo of 500 px for the classifier
DECODE_LARGE_S = 0.039  # one of 12 megapixels for the detector of faces

BATCH, BLOCK = 16, 64
DECODERS = 4
#: Of work for each actor: as they do not start at once, half of it may pass before all are there.
SECONDS_OF_WORK = 20

#: Other service times as this script measured them on 23 November 2026, for what is simulated without measuring.
MEASURED = Times(
    decode=DECODE_S, model=MODEL_S, block=0.002, file=0.010, row=0.0001, hand_over=0.0002, task=0.005
)  # fmt: skip

#: Amazon's "Optimizing Amazon S3 performance": for each prefix, once S3 has adapted.
S3_GETS_PER_S, S3_PUTS_PER_S = 5_500.0, 3_500.0
S3_READ_S = 0.030  # of a small object, inside a region: assumed
S3_LISTED_PER_S = 4_500.0  # 1,000 names a page, as documented; 0.1 s a page: assumed; 0.12 s of a core for it: measured
NODE_BYTES_PER_S = 0.75e9  # half of "up to 12.5 Gbit/s": assumed
PHOTO_BYTES = 70e3  # of 500 px: bench_costs.py
CARD_IMAGES_PER_S = 2_000.0  # ResNet-50 in PyTorch on an L4: assumed, see cluster/SCALING.md
CORES_IMAGES_PER_S = 60.0  # on four cores, twice what two do: assumed
PYTHON_S = 0.0014  # that a process reads and opens an image from S3, whatever its threads: bench_costs.py
ACTORS_PER_LANDING = 8  # as engine.plan.staged had it for cards, too


def measured_shapes(counts: Sequence[int]) -> Iterator[tuple[Shape, Times]]:
    """The shapes that are run, and what their module sleeps."""
    for actors in counts:
        yield Shape(actors=actors, threads=2, batch=BATCH, block=BLOCK), MEASURED
    for actors in counts:
        staged = Shape(layout="staged", actors=actors, decoders=DECODERS, batch=BATCH, block=BLOCK, chunk=BATCH)
        yield staged, dataclasses.replace(MEASURED, decode=DECODE_LARGE_S)


def measure_driver(blocks: int, figures: dict[str, float]) -> float:
    """Seconds of a core that a task costs the driver: blocks of one image, and a module that does not even sleep."""
    shape = Shape(actors=4, batch=BATCH, block=1)
    with tempfile.TemporaryDirectory(prefix="bench-scaling-") as name:
        found = measure(Path(name), shape, dataclasses.replace(MEASURED, decode=0.0, model=0.0), blocks)
    each = found["driver_busy"] / found["tasks_per_s"]
    figures |= {"scaling.driver.task_s": each, "scaling.driver.measured_tasks_per_s": found["tasks_per_s"]}
    print(
        f"A task costs the driver {each * 1e3:.1f} ms of a core, so that it can serve {1 / each:,.0f} a second; "
        f"{found['tasks_per_s']:.0f} a second were asked of it.\n"
    )
    return each


def compare(counts: Sequence[int], seconds: float, task_s: float, figures: dict[str, float]) -> None:
    """Run the engine and the simulation side by side, and print both. Needs Ray."""
    rows: list[list[object]] = []
    alone: dict[str, float] = {}
    for shape, sleeps in measured_shapes(counts):
        with tempfile.TemporaryDirectory(prefix="bench-scaling-") as name:
            images = int(shape.actors * seconds / sleeps.model)
            times = dataclasses.replace(service_times(Path(name), shape, sleeps), task=task_s)
            (Path(name) / "run").mkdir()
            found = measure(Path(name) / "run", shape, sleeps, images)
        outcome = simulate(shape, times, seconds=300)
        speedup = found["images_per_s"] / alone.setdefault(shape.layout, found["images_per_s"])
        found |= {"speedup": speedup, "simulated": outcome.images_per_s}
        found["error"] = outcome.images_per_s / found["images_per_s"] - 1
        figures |= {f"scaling.{shape.layout}.{shape.actors}.{key}": value for key, value in found.items()}
        rates = [round(found["images_per_s"], 1), speedup, speedup / shape.actors, round(outcome.images_per_s, 1)]
        ends = [f"{found['error']:+.1%}", f"{found['driver_busy']:.0%}", outcome.bottleneck]
        rows.append([f"{shape.layout}, {shape.actors} actor{'s' * (shape.actors > 1)}", *rates, *ends])
    print_table(
        ["measured", "images/s", "speedup", "efficiency", "simulated", "error", "driver busy", "first bottleneck"],
        rows,
    )
    print()
    figures["scaling.error_most"] = max(abs(value) for name, value in figures.items() if name.endswith(".error"))


@dataclasses.dataclass(frozen=True)
class Case:
    """A pipeline whose growth is drawn out."""

    title: str
    shape: Shape  # of one machine
    times: Times

    def grown(self, machines: int) -> Shape:
        """So many machines; landers as many as the engine plans where the shape has none."""
        pools = {name: machines * getattr(self.shape, name) for name in ("actors", "decoders", "landers")}
        pools["landers"] = pools["landers"] or -(-machines * self.shape.actors // ACTORS_PER_LANDING)
        return dataclasses.replace(self.shape, **pools)


def cases() -> Iterator[Case]:
    """All read from S3 and land there; most relieve what the one before was bound by."""
    on_s3 = {
        "gets_per_s": S3_GETS_PER_S,
        "puts_per_s": S3_PUTS_PER_S,
        "listed_per_s": S3_LISTED_PER_S,
        "node_bytes_per_s": NODE_BYTES_PER_S,
        "image_bytes": PHOTO_BYTES,
    }
    wait = S3_READ_S
    from_s3 = dataclasses.replace(
        MEASURED, read=wait, python=PYTHON_S, file=MEASURED.file + wait, block=MEASURED.block + 3 * wait
    )
    card = dataclasses.replace(from_s3, model=1 / CARD_IMAGES_PER_S)
    yield Case(
        "4 cores", Shape(actors=1, threads=4, **on_s3), dataclasses.replace(from_s3, model=1 / CORES_IMAGES_PER_S)
    )
    shape = Shape(actors=1, threads=16, **on_s3)
    yield Case("A: a card and 16 cores, 1 actor", shape, card)
    shape = dataclasses.replace(shape, threads=64, cores=16)
    yield Case("B: A, and 64 reading threads", shape, card)
    shape = dataclasses.replace(shape, actors=4, sharing=4, threads=16, cores=4)
    yield Case("C: 4 actors a card, 16 threads each", shape, card)
    shape = dataclasses.replace(shape, listed_per_s=0.0)
    yield Case("D: C, and a list file", shape, card)
    shape = dataclasses.replace(shape, gets_per_s=0.0, puts_per_s=0.0)
    yield Case("E: D, and many prefixes", shape, card)
    yield Case("F: E, and blocks of 1,024", dataclasses.replace(shape, block=1024), card)
    staged = Shape(actors=1, layout="staged", decoders=4, landers=0, threads=4, **on_s3)
    yield Case("G: a card and 16 cores, staged", staged, card)
    relieved = {"threads": 16, "cores": 4, "chunk": 256, "block": 1024, "landers": 1}
    relieved |= {"gets_per_s": 0.0, "puts_per_s": 0.0, "listed_per_s": 0.0}
    yield Case("H: G, F's reliefs, chunks of 256, a lander a card", dataclasses.replace(staged, **relieved), card)


def draw_out(counts: Sequence[int], figures: dict[str, float], *, seconds: float) -> None:
    """Print what the simulation says of clusters."""
    rows = []
    for case in cases():
        found = [(count, simulate(case.grown(count), case.times, seconds=seconds)) for count in counts]
        alone = found[0][1].images_per_s / counts[0]
        for count, outcome in found:
            rate = outcome.images_per_s
            rows.append([case.title, count, round(rate), rate / (alone * count), outcome.bottleneck])
            figures[f"scaling.drawn_out.{case.title.partition(':')[0].replace(' ', '_')}.{count}.images_per_s"] = rate
    print_table(["simulated", "machines", "images/s", "efficiency", "first bottleneck"], rows)


#: Daft's published benchmark: 803,580 photos of ImageNet, ResNet-18, 8 nodes with an L4 and 4 vCPUs each.
IMAGENET, IMAGENET_NODES, IMAGENET_BYTES = 803_580, 8, 110e3
RESNET18_PER_S = 5_000.0  # on an L4 in PyTorch: assumed, as CARD_IMAGES_PER_S; it has a third of ResNet-50's operations
SMALL_DECODE_S = 1 / 517  # of 500 px with what a classifier sees: bench_decode.py, decode.500px.ours
IMAGENET_START_S = 40.0  # Ray's pass, imports and the model on a card: bench_startup.py's on two busy cores


def imagenet(figures: dict[str, float], *, seconds: float) -> None:
    """Print what the simulation says of ImageNet on 8 L4s, from photos under many prefixes, with what was mended."""
    wait = S3_READ_S
    times = dataclasses.replace(
        MEASURED, decode=SMALL_DECODE_S, model=1 / RESNET18_PER_S, read=wait, python=PYTHON_S,
        file=MEASURED.file + wait, block=MEASURED.block + 3 * wait,
    )  # fmt: skip
    shared = {"listed_per_s": S3_LISTED_PER_S, "node_bytes_per_s": NODE_BYTES_PER_S, "image_bytes": IMAGENET_BYTES}
    rows: list[list[object]] = []
    for vcpus, cores in (("4 vCPUs are 4 cores", 4), ("4 vCPUs are 2 cores", 2)):
        # fused: threads, or photos in hand of an actor (engine.work.opener: 2 a thread, and 16)
        before = Shape(actors=1, threads=4, cores=cores, **shared)
        ahead = dataclasses.replace(before, threads=24)
        several = dataclasses.replace(before, actors=2, sharing=2, threads=20, cores=cores // 2)
        steps = {
            "as it was: 4 threads read and decode": before,
            "read ahead": ahead,
            "and 2 actors a card": several,
            "and a list file": dataclasses.replace(several, listed_per_s=0.0),
            "and blocks of 1,024": dataclasses.replace(several, listed_per_s=0.0, block=1024),
        }
        for number, (title, shape) in enumerate(steps.items()):
            many = dataclasses.replace(shape, actors=IMAGENET_NODES * shape.actors)
            outcome = simulate(many, times, seconds=seconds)
            took = IMAGENET / outcome.images_per_s + IMAGENET_START_S
            rows.append([f"{vcpus}, {title}", round(outcome.images_per_s), round(took), outcome.bottleneck])
            figures |= {
                f"scaling.imagenet.{cores}_cores.{number}.images_per_s": outcome.images_per_s,
                f"scaling.imagenet.{cores}_cores.{number}.seconds": took,
            }
    print()
    print_table(["simulated, ImageNet on 8 L4s", "images/s", "seconds, with a start of 40", "first bottleneck"], rows)


def main() -> None:
    """Parse, measure, simulate, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 and 4 actors, and for half of the time")
    parser.add_argument("--simulate-only", action="store_true", help="no Ray")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    quick = arguments.quick
    with contextlib.nullcontext() if arguments.simulate_only else ray_here():
        if not arguments.simulate_only:
            task_s = measure_driver(300 if quick else 800, figures)
            compare((1, 4) if quick else (1, 2, 4, 8), SECONDS_OF_WORK / (1 + quick), task_s, figures)
    draw_out((1, 4, 16) if quick else (1, 4, 16, 64, 256), figures, seconds=10 if quick else 240)
    imagenet(figures, seconds=10 if quick else 240)
    if arguments.json:
        settings = {"quick": quick, "simulate_only": arguments.simulate_only, "batch": BATCH, "block": BLOCK}
        settings |= {f"times.{name}": value for name, value in dataclasses.asdict(MEASURED).items()}
        write_json(arguments.json, "scaling", settings, figures, versions("pixelbrain", "ray", "simpy"))


if __name__ == "__main__":
    main()

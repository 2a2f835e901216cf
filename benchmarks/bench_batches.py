"""Ids that stay: how many faces change their person when photos come in ten batches, and what that costs in quality.

    python benchmarks/bench_batches.py [--quick] [--people FOLDER [--nobody NAME]] [--json FILE]

Photos land a batch at a time, in an order and under names that chance gives them, and `identify` is called after each,
over what landed (MongoDB and ChromaDB are not asked: they change no id). 100,000 faces are of `synthetic_faces.py`,
those that it blurred are gated by their sharpness; `--people` takes labelled photos, a folder a person, as the packaged
models embed them, of which a photo is judged by its largest face.

`moved` is the part of the faces that were somebody's before a batch, and somebody else's or nobody's after it: the
worst step, and the mean; of which `renamed` are of people who were found to be one with another, whose ids lead to it.
`pair_f` after ten batches stands beside `one.pair_f`, all at once into another OUT. `rebuild` is what `identify
--rebuild` after the last batch changes: the difference of growing and linking all again. At last a person is named
(`pixelbrain people name`), three times:
seconds of the clock, start-up included, and of the processor, the fastest.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from _machine import machine, print_table, versions, write_json
from bench_identity import DIM, LINKAGE_THRESHOLD
from synthetic_faces import make_faces

BATCHES = 10
FACES = {"100k": 100_000}
QUICK = {"2k": 2_000}
_PART_ROWS = 5_000


class Landed:
    """What `identify` asks of a `Database`, over what landed."""

    def __init__(self, out: Path, model: Any) -> None:
        from pixelbrain.landing.landing import Landing

        self.landing, self.model, self.where, self.remote_vectors = Landing(out), model, str(out), True
        self.mongo_connection = SimpleNamespace(folder=out / "db" / "mongo", shared=True)

    def vector_model(self, _collection: str) -> Any:
        return self.model

    def iter_vectors(self, collection: str) -> Iterator[Any]:
        from pixelbrain.stores.vectors import landed_vectors

        for table in self.landing.iter_images(["facenet"]):
            if (batch := landed_vectors(collection, table)) is not None:
                yield batch

    def require_in_step(self, _collection: str) -> None:
        self.landing.refresh()

    def behind(self, _collection: str) -> None:
        self.landing.refresh()

    def store_derived(self, *_: Any, **__: Any) -> None:
        self.landing.refresh()


def land(landing: Any, rows: pa.Table, state: Any) -> None:
    """Rows of `images`, as a run lands them."""
    from pixelbrain.landing.parts import claim_generation

    generation = claim_generation(landing.storage)
    for block, start in enumerate(range(0, len(rows), _PART_ROWS)):
        some = rows.slice(start, _PART_ROWS)
        landing.write_part(some, generation=generation, block=block, piece=0, modules={"facenet": state})
    landing.refresh()


def synthetic(n: int, seed: int) -> tuple[pa.Table, Any, dict[str, str]]:
    """Rows of `images` with a face each, what computed them, and image_id -> person."""
    from pixelbrain import schema
    from pixelbrain.landing.parts import ModuleState

    faces = make_faces(n, DIM, seed)
    names = [f"file:///photos/{number:07d}.jpg" for number in np.random.default_rng(seed).permutation(n)]
    kinds = {field.name: field.type for field in schema.faces_fields(DIM)}
    face = kinds["faces"].value_type
    values = {
        "face_id": pa.array([schema.face_id(one, 0) for one in names]),
        **{
            name: pa.array(np.full(n, value, np.float32))
            for name, value in (("x1", 200), ("y1", 100), ("x2", 400), ("y2", 350), ("score", 0.99))
        },
        "sharpness": pa.array(np.where(faces.blurred, 1, 500).astype(np.float32)),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(faces.vectors.reshape(-1)), DIM),
    }
    columns = [values[f.name].cast(f.type) if f.name in values else pa.nulls(n, f.type) for f in face]
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32)), pa.StructArray.from_arrays(columns, fields=list(face))
    )
    known = {"n_faces": pa.array(np.ones(n, np.int32)), "faces": lists}
    struct = schema.module_struct(schema.faces_fields(DIM))
    facenet = pa.StructArray.from_arrays(
        [known.get(field.name, pa.nulls(n, field.type)) for field in struct], fields=list(struct)
    )
    told = {"image_id": pa.array(names), "version": pa.array(["1"] * n), "status": pa.array(["ok"] * n)}
    rows = pa.table(
        [told.get(field.name, pa.nulls(n, field.type)) for field in schema.BASE_FIELDS] + [facenet],
        schema=pa.schema([*schema.BASE_FIELDS, pa.field("facenet", struct)]),
    )
    state = ModuleState(settings={}, model=schema.ModelInfo(model="made up", weights_sha256="", dim=DIM))
    truth = dict(zip(names, map(str, faces.person.tolist()), strict=True))
    return rows, state, truth


def photographed(folder: Path, out: Path, nobody: str | None) -> tuple[pa.Table, Any, dict[str, str]]:
    """The same of labelled photos, which a run with the packaged models looks at."""
    from pixelbrain.config import RunConfig
    from pixelbrain.stages.stages import Stages

    config = RunConfig(source=str(folder), out=str(out), modules=("facenet",), offline=True, executor="local")
    (stages := Stages(config)).extract()
    rows = pa.concat_tables(list(stages.landing.iter_images(["facenet"]))).combine_chunks()
    order = np.random.default_rng(0).permutation(len(rows))
    judged = {one: Path(one).parent.name for one in rows["image_id"].to_pylist()}
    truth = {one: who for one, who in judged.items() if who != nobody}
    return rows.take(pa.array(order)), stages.landing.states()["facenet"], truth


def measure(rows: pa.Table, state: Any, truth: Mapping[str, str], folder: Path, threshold: float | None) -> dict:
    """Ten batches into an OUT, all at once into another, and what differs."""
    from pixelbrain.identity.people import PeopleIdentifierModule

    def identify(database: Landed, **how: Any) -> Any:
        return PeopleIdentifierModule(threshold=threshold).run(database, **how)  # type: ignore[arg-type]

    database = Landed(folder / "ten", state.model)
    moved, renamed, seconds, linked = [], [], [], 0
    for batch in range(BATCHES):
        before = _who(database.landing) if batch else {}
        start, stop = (len(rows) * one // BATCHES for one in (batch, batch + 1))
        land(database.landing, rows.slice(start, stop - start), state)
        report = identify(database)
        seconds.append(report.seconds)
        linked += report.done == "linked"
        if batch:
            one, other = _moved(before, database.landing)
            moved.append(one)
            renamed.append(other)
        print(f"batch {batch}: {report}; moved {moved[-1:]}", file=sys.stderr)
    ten = score(database.landing, truth)
    before = _who(database.landing)
    again = identify(database, rebuild=True)
    rebuilt = score(database.landing, truth)
    land((whole := Landed(folder / "one", state.model)).landing, rows, state)
    once = identify(whole)
    one = score(whole.landing, truth)
    return {
        "faces": once.faces,
        "linked_all": linked,  # steps of the ten
        "moved": max(moved),
        "moved_mean": float(np.mean(moved)),
        "renamed": max(renamed),
        "seconds": max(seconds),
        "last_seconds": seconds[-1],
        **ten,
        **{f"one.{name}": value for name, value in one.items()},
        "pair_f_lost": one["pair_f"] - ten["pair_f"],
        "one.seconds": once.seconds,
        "rebuild.moved": _moved(before, database.landing)[0],
        "rebuild.seconds": again.seconds,
        "rebuild.pair_f_gained": rebuilt["pair_f"] - ten["pair_f"],
        **{f"edit.{name}": value for name, value in _edit(folder / "ten").items()},
    }


def score(landing: Any, truth: Mapping[str, str]) -> dict[str, float]:
    """Pairs, BCubed, and the part of the people found that mixes two, of the largest face of each labelled photo."""
    from pixelbrain.identity.evaluate import count_mixed, score_clusters
    from pixelbrain.landing.derived import IDENTITIES

    largest: dict[str, tuple[float, str]] = {one: (0.0, f"no face: {one}") for one in truth}
    table = IDENTITIES.read(landing).rows
    columns = (table[name].to_pylist() for name in ("image_id", "face_id", "identity_id", "x1", "y1", "x2", "y2"))
    for image, face, who, x1, y1, x2, y2 in zip(*columns, strict=True):
        area = (x2 - x1) * (y2 - y1)
        if image in largest and area > largest[image][0]:
            largest[image] = area, who or f"alone: {face}"
    found = np.array([largest[one][1] for one in truth])
    who = np.array(list(truth.values()))
    scores, (people, mixed) = score_clusters(who, found), count_mixed(who, found)
    told = {name: getattr(scores, name) for name in ("pair_p", "pair_r", "pair_f", "bcubed_f")}
    return {**told, "people": float(people), "mixed": mixed / max(1, people)}


def _who(landing: Any) -> dict[str, str]:
    from pixelbrain.landing.derived import IDENTITIES

    table = IDENTITIES.read(landing).rows
    pairs = zip(table["face_id"].to_pylist(), table["identity_id"].to_pylist(), strict=True)
    return {face: who for face, who in pairs if who}


def _moved(before: Mapping[str, str], landing: Any) -> tuple[float, float]:
    """The part of the faces that were somebody's who are another's now, or nobody's; and of it, where ids lead to."""
    from pixelbrain.landing.registry import read_registry

    after, known = _who(landing), read_registry(landing.storage)
    away = [(who, after.get(face)) for face, who in before.items() if after.get(face) != who]
    led = sum(known.current(who) == now for who, now in away)
    return len(away) / max(1, len(before)), led / max(1, len(before))


def _edit(out: Path) -> dict[str, float]:
    """Seconds that naming the largest person takes, as a command."""
    from pixelbrain.identity.corrections.people import People

    person = People(out).list()[0].identity_id
    took = []
    # as an installed Python is, whose files are compiled
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name in ("Ann", "Bea", "Cid"):
        begun, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "pixelbrain", "people", "name", str(out), person, name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        clock, done = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append((clock, done.ru_utime + done.ru_stime - begun.ru_utime - begun.ru_stime))
    clock, processor = min(took)
    return {"seconds": clock, "cpu_s": processor}


def main() -> None:
    """Parse, measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 made-up faces instead of 100,000")
    parser.add_argument("--people", type=Path, metavar="FOLDER", help="and labelled photos, a folder a person")
    parser.add_argument("--nobody", metavar="NAME", help="this folder's photos show nobody, and are not judged")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up faces")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-batches-") as name:
        folder = Path(name)
        if arguments.people:
            extracted = photographed(arguments.people, folder / "extracted", arguments.nobody)
            found["people"] = measure(*extracted, folder / "people", None)
        for size, n in (QUICK if arguments.quick else FACES).items():
            found[size] = measure(*synthetic(n, arguments.seed), folder / size, LINKAGE_THRESHOLD)
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    names = list(next(iter(found.values())))
    print_table(["", *found], [[name, *(values[name] for values in found.values())] for name in names])
    if arguments.json:
        figures = {f"batches.{size}.{name}": value for size, values in found.items() for name, value in values.items()}
        settings = {"batches": BATCHES, "dim": DIM, "seed": arguments.seed, "threshold": LINKAGE_THRESHOLD}
        write_json(arguments.json, "batches", settings, figures, versions("numpy", "scipy", "torch", "pyarrow"))


if __name__ == "__main__":
    main()

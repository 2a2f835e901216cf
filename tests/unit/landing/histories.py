"""Landings with a past: images that changed, failed, were pruned and came back, under modules that came and went."""

from __future__ import annotations

import dataclasses
import itertools
import random
import zlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState

MODULES = {
    "colour": [pa.field("red", pa.float32()), pa.field("embedding", schema.embedding_type(4))],
    "size": [pa.field("n", pa.int32())],
}


def state(name: str, setting: int = 1) -> ModuleState:
    """A module's state; the model stays, whatever the setting."""
    return ModuleState(
        settings={"setting": setting}, model=schema.ModelInfo(model=name, weights_sha256="0" * 64, dim=4)
    )


def manifest(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """A listing of (image_id, version) pairs."""
    rows = [{"image_id": image_id, "version": version} for image_id, version in pairs]
    return pa.Table.from_pylist(rows, schema.MANIFEST_SCHEMA)


@dataclasses.dataclass(kw_only=True)
class Row:
    """One row of one part file."""

    image_id: str
    version: str = "1"
    status: str = "ok"
    sha256: str | None = None
    values: dict[str, Any] = dataclasses.field(default_factory=dict)  # by module: a number, an error_type, or None


def land(landing: Landing, rows: Sequence[Row], generation: int, settings: dict[str, int], *, block: int = 0) -> None:
    """Write a part file whose modules have these settings."""
    base = [
        {
            "image_id": row.image_id,
            "version": row.version,
            "sha256": row.sha256,
            "status": row.status,
            "width": zlib.crc32(f"{generation} {row.image_id}".encode()) % 1000,
            "error_type": "DecodeError" if row.status == "failed" else None,
        }
        for row in rows
    ]
    table = pa.Table.from_pylist(base, pa.schema(schema.BASE_FIELDS))
    for name in settings:
        structs = [_struct(name, row.values.get(name)) if row.status == "ok" else None for row in rows]
        table = table.append_column(name, pa.array(structs, schema.module_struct(MODULES[name])))
    states = {name: state(name, setting) for name, setting in settings.items()}
    landing.write_part(table, generation=generation, block=block, piece=0, modules=states)


def _struct(name: str, value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        return {"error_type": value, "error": "no luck"}
    if value is None:
        return None
    return {"n": value} if name == "size" else {"red": value, "embedding": [value] * 4}


class History:
    """A random past of `images` images, landed, and what a reader should make of it, worked out row by row.

    Files change, and with `back` they may change back, when what was computed of them before counts again.
    """

    def __init__(
        self, landing: Landing, rng: random.Random, *, images: int = 60, runs: int = 8, back: bool = True
    ) -> None:
        self.landing = landing
        self._back = back
        self.names = [f"s3://bucket/photos/{number:04d}.jpg" for number in range(images)]
        #: By image and generation, oldest first: its rows there, in the order of the listing.
        self._rows: dict[str, dict[int, list[tuple[dict[str, int], Row]]]] = {}
        for generation in range(1, runs + 1):
            self.add_run(generation, rng)

    def add_run(self, generation: int, rng: random.Random) -> None:
        """One more run, of some of the images."""
        chosen = sorted(rng.sample(self.names, rng.randint(1, len(self.names))))
        if generation > 2 and rng.random() < 0.25:
            few = chosen[: len(self.names) // 3]
            self._run(generation, {}, [Row(image_id=name, status="pruned") for name in few], rng)
        else:
            wanted = rng.choice([["colour"], ["size"], ["colour", "size"], ["colour", "size"]])
            rows = [self._row(name, wanted, rng) for name in chosen]
            self._run(generation, {name: rng.choice([1, 1, 2]) for name in wanted}, rows, rng)
        self.landing.refresh()

    def _row(self, name: str, wanted: list[str], rng: random.Random) -> Row:
        version = rng.choice("112")
        if not self._back:
            newest = self.newest(name)
            version = str(int(newest[0][1].version if newest else 0) + (rng.random() < 0.2))
        if rng.random() < 0.1:
            return Row(image_id=name, version=version, status="failed")
        values = {module: "ModuleError" if rng.random() < 0.1 else rng.randrange(1000) for module in wanted}
        return Row(image_id=name, version=version, values=values)

    def _run(self, generation: int, settings: dict[str, int], rows: list[Row], rng: random.Random) -> None:
        size = rng.randint(6, 20)
        blocks = [rows[i : i + size] for i in range(0, len(rows), size)]
        if rng.random() < 0.3:  # a block that was done twice: in two pieces of work
            blocks.append(blocks[0])
        for block, chosen in enumerate(blocks):
            land(self.landing, chosen, generation, settings, block=block)
            for row in chosen:
                self._rows.setdefault(row.image_id, {}).setdefault(generation, []).append((settings, row))

    def newest(self, name: str, *, before: int | None = None) -> list[tuple[dict[str, int], Row]]:
        """What counts of an image, newest first: rows about its newest version, with their settings."""
        found = [rows for generation, rows in self._rows.get(name, {}).items() if before is None or generation < before]
        alive = []
        for settings, row in itertools.chain(*reversed(found)):
            if row.status == "pruned":
                break
            alive.append((settings, row))
        return [(settings, row) for settings, row in alive if row.version == alive[0][1].version]

    def expected(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """By image: version, status, and each module's value."""
        images = {}
        for name in self.names:
            if newest := self.newest(name):
                values = {}
                for module in MODULES:
                    rows = [row for settings, row in newest if module in settings]
                    if rows and rows[0].status == "ok":
                        values[module] = rows[0].values[module]
                images[name] = (newest[0][1].version, newest[0][1].status, values)
        return images


def read_all(landing: Landing) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """What a reader finds, in the form of `History.expected`; each image must be there once."""
    landing.refresh()
    rows = [row for table in landing.iter_images() for row in table.to_pylist()]
    assert len(rows) == len({row["image_id"] for row in rows}) == landing.count_images()
    return {row["image_id"]: (row["version"], row["status"], _values(row)) for row in rows}


def _values(row: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for name in MODULES:
        struct = row.get(name)
        if struct is not None:
            values[name] = struct["error_type"] or struct["red" if name == "colour" else "n"]
            if name == "colour" and not struct["error_type"]:
                assert struct["embedding"] == [struct["red"]] * 4
    return values

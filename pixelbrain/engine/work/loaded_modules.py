"""The modules of one worker: each is loaded when it is first needed, and its column comes timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pixelbrain.engine.work.meter import Meter
from pixelbrain.modules.base import Beside, Known, PipelineModule


class LoadedModules:
    """Modules by name, on one device."""

    def __init__(self, modules: Iterable[PipelineModule], device: str, threads: int, meter: Meter) -> None:
        self._modules = {module.name: module for module in modules}
        self._device = device
        self._threads = threads
        self._meter = meter
        self._ready: set[str] = set()

    def __getitem__(self, name: str) -> PipelineModule:
        return self._modules[name]

    def set_up(self, names: Iterable[str]) -> list[PipelineModule]:
        """These modules, ready to run."""
        chosen = [self._modules[name] for name in names]
        for module in chosen:
            if module.name not in self._ready:
                module.setup(self._device)
                self._ready.add(module.name)
                if torch := sys.modules.get("torch"):  # not imported for modules that do without
                    torch.set_num_threads(self._threads)
        return chosen

    def run(self, name: str, rows: int, good: Sequence[int], inputs: Sequence[Any]) -> tuple[pa.Array, float]:
        """A module's column of so many rows, from the inputs of the good ones, and the seconds that it took.

        It is loaded if there is any that it is to look at.
        """
        module = self._modules[name]
        looks = sum(not isinstance(one.given if isinstance(one, Beside) else one, Known) for one in inputs)
        if looks and not module.resources.with_decoder:  # what is not known of it are errors
            self.set_up([name])
        started = time.perf_counter()
        column = module_column(rows, good, module.run_inputs(list(inputs)), module)
        took = time.perf_counter() - started
        self._meter.module(name, looks, took, self._device)
        return column, took


def beside(rows: pa.Table, good: Sequence[int], inputs: Sequence[Any], givers: Mapping[str, str]) -> list[Any]:
    """A module's inputs with what it stands on, where the same rows have the column of its giver already."""
    there = {
        name: rows[of].take(pa.array(good, pa.int64())).to_pylist()
        for name, of in givers.items()
        if of in rows.column_names
    }
    if not there:
        return list(inputs)
    structs = [{name: column[place] for name, column in there.items()} for place in range(len(inputs))]
    return [
        Beside(one.given, {**one.structs, **its}) if isinstance(one, Beside) else Beside(one, its)
        for one, its in zip(inputs, structs, strict=True)
    ]


def module_column(
    rows: int, good: Sequence[int], results: Sequence[dict[str, Any]], module: PipelineModule
) -> pa.Array:
    """The module's column: its results where images are good, null elsewhere.

    A row whose values do not fit the module's fields is that row's error, not its neighbours'.
    """
    structs: list[dict[str, Any] | None] = [None] * rows
    for i, result in zip(good, results, strict=True):
        structs[i] = result
    kind = module.struct_type()
    try:
        return pa.array(structs, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.concat_arrays([_one_struct(value, kind, module) for value in structs])


def _one_struct(value: dict[str, Any] | None, kind: pa.StructType, module: PipelineModule) -> pa.Array:
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        message = f"module {module.name} returned what its fields() cannot hold: {error}"
        return pa.array([{"error_type": "ModuleError", "error": message}], kind)

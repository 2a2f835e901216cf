"""Modules are loaded once, when they are first needed, and a row that does not fit its column costs that row alone."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pixelbrain.engine.work.loaded_modules import LoadedModules, module_column
from pixelbrain.engine.work.meter import Meter
from pixelbrain.modules.base import Known, PipelineModule


class Double(PipelineModule):
    """Twice a number."""

    name = "double"

    def __init__(self) -> None:
        self.devices: list[str] = []

    def setup(self, device: str = "cpu") -> None:
        self.devices.append(device)

    def fields(self):
        return [pa.field("n", pa.int8())]

    def process(self, number):
        return {"n": 2 * number}


class Heard(Meter):
    """Keeps what modules are said to have done."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, str]] = []

    def module(self, name: str, images: int, seconds: float, device: str) -> None:
        self.told.append((name, images, device))


def test_a_module_is_loaded_once_and_on_its_device():
    module, meter = Double(), Heard()
    loaded = LoadedModules([module], "cuda:0", 1, meter)
    assert module.devices == []
    assert loaded.set_up(["double"]) == loaded.set_up(["double"]) == [loaded["double"]] == [module]
    assert module.devices == ["cuda:0"]
    column, seconds = loaded.run("double", 3, [0, 2], [5, ValueError("no photo")])
    assert column.to_pylist() == [
        {"n": 10, "error_type": None, "error": None},
        None,
        {"n": None, "error_type": "ValueError", "error": "no photo"},
    ]
    assert seconds >= 0 and meter.told == [("double", 2, "cuda:0")]


def test_what_is_known_is_not_looked_at_and_loads_nothing():
    module, meter = Double(), Heard()
    loaded = LoadedModules([module], "cpu", 1, meter)
    known = Known({"n": 3, "error_type": None, "error": None})
    assert loaded.run("double", 2, [1], [known])[0].to_pylist() == [None, known.struct]
    assert module.devices == []
    column, _seconds = loaded.run("double", 3, [0, 1, 2], [5, known, 6])
    assert [row["n"] for row in column.to_pylist()] == [10, 3, 12]
    assert module.devices == ["cpu"] and [count for _name, count, _device in meter.told] == [0, 2]


@pytest.mark.parametrize("wrong", [1000, "many", [1]])
def test_a_value_that_does_not_fit_is_its_rows_error(wrong):
    good = {"n": 1}
    column = module_column(3, [0, 1], [good, {"n": wrong}], Double())
    first, second, none = column.to_pylist()
    assert first == {"n": 1, "error_type": None, "error": None} and none is None
    assert second["error_type"] == "ModuleError" and "what its fields() cannot hold" in second["error"]
    assert column.type == Double().struct_type()

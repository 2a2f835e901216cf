"""The scripts that wait for a card run on a CPU meanwhile, as far as that goes, and say which it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.engine.standing import Here

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_gpu_modules_measures_a_cpu_and_calls_it_one(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from benchmarks.gpu_modules import main

    small = ["--side", "64", "--batch", "1", "--matrix", "64", "--seconds", "0.001", "--model", "resnet50"]
    main(["--device", "cpu", *small, "--model", "decode", "--json", str(tmp_path / "found.json")])
    figures = json.loads((tmp_path / "found.json").read_text())["figures"]
    assert all(name.startswith("cpu.") for name in figures)
    formats = {"float32", "float32_channels_last", "bfloat16", "bfloat16_channels_last"}
    kinds = {"images_per_s", "of_ceiling"}
    assert {name for name in figures if ".resnet50." in name} == {
        f"cpu.resnet50.{one}.1.{kind}" for one in formats for kind in kinds
    }
    assert all(value > 0 for value in figures.values())
    said = capsys.readouterr().out
    assert "left out" in said and "CUDA graph" in said


def test_gpu_modules_without_a_card_says_so(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from benchmarks.gpu_modules import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA card"):
        main(["--device", "cuda"])


def test_gpu_pipeline_runs_extract_on_a_cpu_and_calls_it_one(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from benchmarks.gpu_pipeline import main

    # in this process: a worker's would import torch again, for no other figure
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda job, _looks: Here(job, "fused"))
    small = ["--images", "4", "--seconds", "0.001", "--model", "resnet50", "--executor", "local"]
    main(["--device", "cpu", *small, "--json", str(tmp_path / "found.json")])
    figures = json.loads((tmp_path / "found.json").read_text())["figures"]
    assert figures.keys() == {
        "cpu.resnet50.alone.images_per_s", "cpu.resnet50.fused.images_per_s", "cpu.resnet50.fused.of_limit",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())

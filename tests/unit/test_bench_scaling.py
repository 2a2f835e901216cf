"""The simulation of benchmarks/bench_scaling.py against what queueing theory knows, and that the script runs."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks._queueing import Shape, Times, simulate

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_scaling.py"
MODEL = Times(decode=0.0, model=0.01)


def rate(shape: Shape, times: Times, seconds: float = 100) -> float:
    return simulate(shape, times, seconds=seconds).images_per_s


def test_a_single_station_does_one_over_its_service_time():
    assert rate(Shape(actors=1, block=32), MODEL) == pytest.approx(100, rel=0.02)
    assert rate(Shape(actors=7, block=32), MODEL) == pytest.approx(700, rel=0.02)


def test_reading_one_batch_ahead_the_slower_of_two_stations_decides():
    blocks = {"actors": 1, "threads": 2, "block": 32 * 50}  # long ones, so that a block's first batch hardly counts
    assert rate(Shape(**blocks), Times(decode=0.01, model=0.01), 1000) == pytest.approx(100, rel=0.03)
    assert rate(Shape(**blocks), Times(decode=0.04, model=0.01), 1000) == pytest.approx(50, rel=0.03)


def test_the_first_batch_of_a_block_is_waited_for():
    # 8 batches of 32: the first is decoded (0.32 s), then each takes 0.32 s of the model
    found = rate(Shape(actors=1, block=256, batch=32), Times(decode=0.01, model=0.01))
    assert found == pytest.approx(256 / (9 * 0.32), rel=0.03)


def test_landing_in_turn_costs_what_it_takes():
    found = rate(Shape(actors=1, block=64), Times(decode=0.0, model=0.01, file=0.1, row=0.001, block=0.05))
    assert found == pytest.approx(64 / (0.64 + 0.1 + 0.064 + 0.05), rel=0.02)


def test_a_serial_driver_bends_the_curve_and_bounds_it():
    times = Times(decode=0.0, model=0.01, task=0.08)  # a block of 32 takes an actor 0.32 s: four keep the driver busy
    found = {n: simulate(Shape(actors=n, block=32), times, seconds=200) for n in (1, 2, 4, 16)}
    assert [found[n].images_per_s for n in (1, 2)] == pytest.approx([100, 200], rel=0.02)
    assert [found[n].images_per_s for n in (4, 16)] == pytest.approx([400, 400], rel=0.02)
    assert found[2].bottleneck == "model"
    assert found[16].bottleneck == "driver"
    assert found[16].use["driver"] == pytest.approx(1, abs=0.01)
    assert found[16].use["model"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ({"listed_per_s": 250.0}, "listing"),
        ({"gets_per_s": 250.0}, "S3 GET requests"),
        ({"puts_per_s": 250.0 / 32}, "S3 PUT requests"),
    ],
)
def test_a_limit_that_all_share_is_named_and_kept(limit: dict[str, float], name: str):
    found = simulate(Shape(actors=8, block=32, **limit), MODEL, seconds=200)
    assert found.images_per_s == pytest.approx(250, rel=0.02)
    assert found.bottleneck == name


def test_a_node_s_network_bounds_each_actor():
    shape = Shape(actors=3, block=320, image_bytes=1e6, node_bytes_per_s=50e6)
    # 50 a second each; of a block's ten batches, the model runs on the last one while none is on its way
    assert rate(shape, MODEL, 500) == pytest.approx(3 * 320 / (10 * 0.64 + 0.32), rel=0.02)


def test_waiting_threads_help_until_cores_or_python_are_busy():
    times = Times(decode=0.01, read=0.09, model=0.0001, python=0.001)
    rates = [rate(Shape(actors=1, threads=n, cores=4, block=3200), times) for n in (1, 10, 40, 400)]
    assert rates == pytest.approx([10, 100, 400, 400], rel=0.05)
    assert rate(Shape(actors=1, threads=400, cores=400, block=3200), times) == pytest.approx(1000, rel=0.1)


def test_actors_that_share_a_card_fill_each_other_s_gaps():
    times = Times(decode=0.01, model=0.01)
    alone, sharing = (rate(Shape(actors=n, sharing=n, block=32), times) for n in (1, 2))
    assert alone == pytest.approx(50, rel=0.02)  # decoding and the model in turn
    assert sharing == pytest.approx(100, rel=0.02)


def test_staged_the_slowest_pool_decides_and_more_of_the_others_do_not_help():
    times = Times(decode=0.02, model=0.01, file=0.01)
    pools = [{"actors": 1}, {"actors": 2}, {"actors": 8}, {"actors": 8, "decoders": 8}]
    shapes = [Shape(layout="staged", **{"decoders": 3, "landers": 2, **pool}) for pool in pools]
    found = [simulate(shape, times) for shape in shapes]
    assert [one.images_per_s for one in found] == pytest.approx([100, 150, 150, 400], rel=0.05)
    assert [one.bottleneck for one in found[:3]] == ["model", "reading and decoding", "reading and decoding"]


def test_the_same_seed_gives_the_same_figures():
    shape, times = Shape(actors=3, start_s=5.0), Times(decode=0.003, model=0.01, task=0.01)
    assert simulate(shape, times, seed=1) == simulate(shape, times, seed=1)


def test_the_script_simulates_without_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    written = tmp_path / "scaling.json"
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--quick", "--simulate-only", "--json", str(written)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = json.loads(written.read_text())
    assert found["bench"] == "scaling"
    assert len(found["figures"]) == 9 * 3 + 10 * 2
    assert all(value > 0 for value in found["figures"].values())
    assert capsys.readouterr().out.count("\n| ") == 2 + 9 * 3 + 2 + 10

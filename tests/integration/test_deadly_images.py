"""An image that kills the worker that looks at it: a failed row, and the run on Ray completes.

Several of them, in several blocks, are in the test of the local executor, whose workers start sooner.
"""

from __future__ import annotations

import pixelbrain as pb
from tests.integration.watched import World


def test_an_image_that_kills_its_worker_is_isolated(tmp_path, encode, ray_running):
    world = World(tmp_path, seconds=0.0)
    for index in range(60):
        (world.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    (world.photos / "040-deadly.png").write_bytes(encode("PNG", size=(77, 9)))
    process = world.start("--strict", address=ray_running)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 3, said
    rows = {row["image_id"]: row for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()}
    assert len(rows) == 61
    (failed,) = [row for row in rows.values() if row["status"] == "failed"]
    assert failed["image_id"].endswith("/040-deadly.png")
    assert failed["error_type"] == "WorkerCrashError" and "SIGSEGV" in failed["error"]

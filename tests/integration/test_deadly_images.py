"""Images that kill the worker that looks at them: a failed row each, and the run completes."""

from __future__ import annotations

import pixelbrain as pb
from tests.integration.watched import World


def test_images_that_kill_their_worker_are_isolated(tmp_path, encode, ray_running):
    world = World(tmp_path, seconds=0.0)
    for index in range(60):
        (world.photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    for name in ("007-deadly.png", "040-deadly.png"):
        (world.photos / name).write_bytes(encode("PNG", size=(77, 9)))
    process = world.start("--strict", address=ray_running)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 3, said
    rows = {row["image_id"]: row for table in pb.Landing(world.out).iter_images() for row in table.to_pylist()}
    assert len(rows) == 62
    failed = {image_id.rsplit("/", 1)[1]: row for image_id, row in rows.items() if row["status"] == "failed"}
    assert sorted(failed) == ["007-deadly.png", "040-deadly.png"]
    for row in failed.values():
        assert row["error_type"] == "WorkerCrashError" and "SIGSEGV" in row["error"]

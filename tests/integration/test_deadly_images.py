"""An image that kills the worker that looks at it: a failed row, and the run on Ray completes.

Several of them, in several blocks, are in the test of the local executor, whose workers start sooner.
"""

from __future__ import annotations

import pixelbrain as pb
from tests.unit.engine.modules_for_tests import Deadly


class Segfaults(Deadly):
    """As `--module` makes it."""

    def __init__(self) -> None:
        super().__init__("SIGSEGV")


def test_an_image_that_kills_its_worker_is_isolated(tmp_path, encode, command, ray_running):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for index in range(60):
        (photos / f"{index:03d}.png").write_bytes(encode("PNG", size=(8, 8 + index)))
    (photos / "040-deadly.png").write_bytes(encode("PNG", size=(77, 9)))
    module = ("--module", f"{__name__}:Segfaults")
    done = command("extract", photos, "--out", out, *module, "--strict", check=False, RAY_ADDRESS=ray_running)
    assert done.returncode == 3, done.stderr
    rows = {row["image_id"]: row for table in pb.Landing(out).iter_images() for row in table.to_pylist()}
    assert len(rows) == 61
    (failed,) = [row for row in rows.values() if row["status"] == "failed"]
    assert failed["image_id"].endswith("/040-deadly.png")
    assert failed["error_type"] == "WorkerCrashError" and "SIGSEGV" in failed["error"]

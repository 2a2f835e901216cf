"""A disk that is full: the run ends with one clear error, all that landed is whole, and goes on when there is room."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pixelbrain as pb
from pixelbrain.sources.local import uri_to_path

ROOT = Path(__file__).parent.parent.parent
IMAGES = 60
MODULE = f"{__name__}:Large"


class Large(pb.PipelineModule):
    """40 KB an image that cannot be compressed.

    Where there is a file `limit` beside the photos' folder, no file of the worker may become larger than it says: the
    other way in which a system refuses to write the rest.
    """

    name = "large"
    resources = pb.Resources(batch_size=4)

    def fields(self):
        return [pa.field("width", pa.int64()), pa.field("noise", pa.binary())]

    def process(self, image):
        limit = Path(uri_to_path(image.image_id)).parents[1] / "limit"
        if limit.exists():
            sys.dont_write_bytecode = True  # it would be cut short without an error, and read by other tests' processes
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit.read_text()), resource.RLIM_INFINITY))
        return {"width": image.width, "noise": os.urandom(40_000)}


NO_ROOM = (
    r"no room for \S+/disk/out/\S+ \(\d\.\d MB free\): make room, and run the same command again; "
    r"it goes on from what has landed, and nothing of that is lost"
)

#: In a mount namespace of its own, with workers of its own: those of another Ray would not see the disk.
PROGRAM = f"""
import json
import sys
from pathlib import Path

from click.testing import CliRunner

import pixelbrain as pb
from pixelbrain.cli.main import cli
from tests.integration.conftest import without_progress

folder = Path(sys.argv[1])
out = folder / "disk" / "out"


def extract():
    words = ["extract", str(folder / "photos"), "--out", str(out), "--module", {MODULE!r}, "--executor", "local"]
    ended = CliRunner().invoke(cli, words)
    rows = [row for table in pb.Landing(out).iter_images() for row in table.to_pylist()]
    whole = all(row["status"] == "ok" and len(row["large"]["noise"]) == 40_000 for row in rows)
    said, ids = without_progress(ended.stderr), [row["image_id"] for row in rows]
    return {{"code": ended.exit_code, "said": said, "ids": ids, "whole": whole}}


ballast = out.parent / "ballast"
ballast.write_bytes(bytes(3 << 20))
found = [extract()]
with open(ballast, "ab", buffering=0) as file:  # to the last byte
    try:
        while file.write(bytes(512)):
            pass
    except OSError:
        pass
found.append(extract())
ballast.unlink()
found.append(extract())
print(json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path: Path, encode: Callable[..., bytes]) -> Path:
    """Sixty photos, none as wide as another."""
    (tmp_path / "photos").mkdir()
    for index in range(IMAGES):
        (tmp_path / "photos" / f"{index:02d}.png").write_bytes(encode("PNG", size=(8 + index, 9)))
    return tmp_path


def mount(disk: Path, *command: Any) -> subprocess.CompletedProcess:
    """Run a command that sees a disk of 4 MB in this folder; skips where nobody may mount one."""
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=4m tmpfs "{disk}" && exec "$@"'
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ways = (["unshare", "--map-root-user", "--mount"], ["sudo", "-n", "-E", "unshare", "--mount"])
    refusals = []
    for way in ways:
        try:
            tried = subprocess.run([*way, "sh", "-c", mounted, "sh", "true"], capture_output=True, text=True)
        except FileNotFoundError as error:
            refusals.append(str(error))
            continue
        if tried.returncode == 0:
            return subprocess.run(
                [*way, "sh", "-c", mounted, "sh", *map(str, command)],
                capture_output=True, text=True, cwd=ROOT, env=environment, timeout=280,
            )  # fmt: skip
        refusals.append(tried.stderr.strip())
    pytest.skip(f"no disk of our own can be mounted here: {'; '.join(refusals)}")


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(folder):
    done = mount(folder / "disk", sys.executable, "-c", PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    first, full, last = json.loads(done.stdout.splitlines()[-1])
    for refused in (first, full):
        assert refused["code"] == 1 and refused["whole"], refused["said"]
        error = refused["said"].splitlines()[-1]  # on a slow machine, lines before it say how far it is
        assert re.fullmatch(rf"Error: (cannot lock \S+: )?{NO_ROOM}", error), refused["said"]
    # what was on its way beside the block that found no room may have room now
    assert first["ids"] and {*first["ids"]} <= {*full["ids"]} and len(full["ids"]) < IMAGES
    assert last["code"] == 0 and last["whole"], last["said"]
    assert f"{len(full['ids'])} were there already" in last["said"]
    assert len(last["ids"]) == len(set(last["ids"])) == IMAGES


def test_a_file_that_the_system_cuts_short_is_read_by_nobody(folder, command):
    """As beyond a quota: some bytes of it are written, and then no more."""
    arguments = ("extract", folder / "photos", "--out", folder / "out", "--module", MODULE, "--executor", "local")
    (folder / "limit").write_text("100000")  # a batch of four is more
    refused = command(*arguments, check=False)
    assert refused.returncode == 1
    error = refused.stderr.splitlines()[-1]
    assert re.fullmatch(r"Error: cannot write \S+/out/images/part-\S+\.parquet: File too large", error)
    landing = pb.Landing(folder / "out")
    # of another block, which was on its way when the process was ended, there may be a beginning that nobody reads
    assert not landing.exists() and landing.storage.names("images") == []
    (folder / "limit").unlink()
    command(*arguments)
    landing.refresh()
    rows = [row for table in landing.iter_images() for row in table.to_pylist()]
    assert len(rows) == len({row["image_id"] for row in rows}) == IMAGES
    assert all(len(row["large"]["noise"]) == 40_000 for row in rows)

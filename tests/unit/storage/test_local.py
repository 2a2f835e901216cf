"""A folder as OUT: files are complete or absent, and every error is one line that says what and where."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys

import pyarrow as pa
import pytest

from pixelbrain.errors import LandingError
from pixelbrain.landing.parts import list_parts, write_table
from pixelbrain.storage.base import BrokenFileError, FileGoneError
from pixelbrain.storage.open import open_storage

TABLE = pa.table({"image_id": ["a", "b"], "n": [1, 2]})


def test_files_are_written_listed_read_and_removed(tmp_path):
    storage = open_storage(tmp_path / "new" / "out")
    assert storage.names("images") == [] and storage.folders("") == [] and storage.read("run.json") is None
    storage.write("images/b.txt", b"two")
    storage.write("images/a b+ü.txt", b"one")
    storage.write("images/deep/c.txt", b"three")
    storage.write("images/b.txt", b"2")
    assert storage.names("images") == ["a b+ü.txt", "b.txt"] and storage.folders("images") == ["deep"]
    assert storage.read("images/b.txt") == b"2" and storage.read("images/deep/c.txt") == b"three"
    storage.delete("images/b.txt")
    storage.delete("images/b.txt")
    assert storage.names("images") == ["a b+ü.txt"]


def test_a_place_is_named_absolutely_and_travels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = open_storage("out")
    assert (
        storage.uri == str(tmp_path / "out") == str(storage) and storage.local == tmp_path / "out" and storage.is_local
    )
    assert open_storage(storage) is storage
    storage.write("run.json", b"{}")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(storage)).read("run.json") == b"{}"


def test_moving(tmp_path):
    storage = open_storage(tmp_path)
    storage.write("images/a", b"1")
    storage.move("images/a", "images/broken/a")
    assert storage.names("images") == [] and storage.read("images/broken/a") == b"1"
    with pytest.raises(FileGoneError, match="images/a is not there any more"):
        storage.move("images/a", "images/broken/a")


def test_tables_come_back_with_their_metadata_and_in_columns(tmp_path):
    storage = open_storage(tmp_path)
    write_table(storage, "images/t.parquet", TABLE)
    with storage.open_parquet("images/t.parquet") as file:
        assert file.metadata.metadata[b"pixelbrain"] == b'{"modules": {}}'
        assert file.read(columns=["n"]).to_pydict() == {"n": [1, 2]}
    with pytest.raises(FileGoneError, match="absent.parquet is not there"), storage.open_parquet("absent.parquet"):
        pass
    storage.write("broken.parquet", b"PAR1")
    with (
        pytest.raises(BrokenFileError, match="broken.parquet is not a whole Parquet file") as caught,
        storage.open_parquet("broken.parquet"),
    ):
        pass
    assert pickle.loads(pickle.dumps(caught.value)).name == "broken.parquet"  # from a worker to the driver


@pytest.mark.parametrize("act", ["write", "move"])
def test_what_cannot_be_written_is_one_line(tmp_path, act):
    (tmp_path / "file").write_bytes(b"")
    storage = open_storage(tmp_path / "file")  # not a folder
    arguments = {
        "write": ("images/a", b""),
        "move": ("../file", "images/a"),
    }
    with pytest.raises(LandingError, match="file") as caught:
        getattr(storage, act)(*arguments[act])
    assert "\n" not in str(caught.value)


def test_a_file_as_out_cannot_be_listed(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LandingError, match="cannot list .*file"):
        open_storage(tmp_path / "file").names("")


def test_a_writer_that_is_killed_leaves_nothing_that_is_listed(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pixelbrain.storage import local\n"
        "local.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pixelbrain.storage.open import open_storage\n"
        "open_storage(sys.argv[1]).write('images/part-000001-00000000-000.parquet', b'some bytes')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert len(os.listdir(tmp_path / "images")) == 1  # the temporary file
    storage = open_storage(tmp_path)
    assert storage.names("images") == [] and list_parts(storage).parts == [] and not list_parts(storage).broken


def test_names_are_on_the_disk_when_a_write_returns(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    storage = open_storage(tmp_path)
    storage.write("images/a", b"1")
    assert synced == ["folder", "file", "folder"]  # the new folder's own name, the bytes, the file's name
    synced.clear()
    write_table(storage, "images/a", TABLE)
    assert synced == ["file", "folder"]


FULL_DISK = """
import os, sys
import numpy as np
import pyarrow as pa
from pixelbrain.errors import LandingError
from pixelbrain.landing.answers.log import AnswerLog
from pixelbrain.landing.parts import list_parts, part_name, write_table
from pixelbrain.storage.open import open_storage

storage = open_storage(sys.argv[1])
log = AnswerLog(storage)
journal = log.journal("one", {"f": pa.bool_()})
answer = {"field": "f", "raw": "x" * 999}
answered = 0
rng = np.random.default_rng(7)
landed = 0
try:
    while True:
        write_table(storage, part_name(1, landed, 0), pa.table({"n": rng.random(20_000)}))
        landed += 1
except LandingError as error:
    print(error)
try:
    while True:
        journal.append(answer)
        answered += 1
except LandingError as error:
    print(error)
print(landed, len(list_parts(storage).parts), len(list_parts(storage).broken))
print(sorted(os.listdir(sys.argv[1] + "/images")) == storage.names("images"))
for name in storage.names("images")[:2]:
    storage.delete("images/" + name)
write_table(storage, part_name(1, landed, 0), pa.table({"n": rng.random(20_000)}))
journal.append(answer)  # behind the torn one
journal.close()
print(len(list_parts(storage).parts), answered + 1 - len(list(log.records())))
"""


def test_a_full_disk_is_a_clear_error_and_leaves_only_whole_files(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount -t tmpfs -o size=1m tmpfs "{disk}" && exec "$0" -c "$1" "{disk}"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, sys.executable, FULL_DISK],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no disk of our own can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    said, too, counts, listed, after = done.stdout.splitlines()
    assert said.startswith("no room for") and "MB free" in said and "run the same command again" in said
    assert too.startswith("no room for") and "one.jsonl" in too
    landed, whole, broken = map(int, counts.split())
    assert landed == whole >= 3 and broken == 0 and listed == "True" and after == f"{landed - 1} 0", done.stderr


def test_a_file_that_was_replaced_is_another_version_whatever_the_clock_says(tmp_path):
    storage = open_storage(tmp_path)
    storage.write("images/a", b"one")
    os.utime(tmp_path / "images" / "a", ns=(7, 7))
    first = storage.versions("images")
    assert list(first) == ["a"] and storage.versions("images") == first
    keep = open(tmp_path / "images" / "a", "rb")  # noqa: SIM115  (or its inode would be free for the next one)
    storage.write("images/a", b"two")
    os.utime(tmp_path / "images" / "a", ns=(7, 7))
    assert storage.versions("images") != first
    keep.close()


def test_a_file_is_created_once(tmp_path):
    storage = open_storage(tmp_path)
    assert storage.create("a/1", b"first") and not storage.create("a/1", b"second")
    assert storage.read("a/1") == b"first" and storage.names("a") == ["1"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["1"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LandingError, match="cannot write"):
        storage.create("file/1", b"")

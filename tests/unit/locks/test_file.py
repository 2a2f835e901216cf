"""A locked file says who holds it, and so does the lock of a store's folder."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from pixelbrain.errors import StoreError, StoreLockedError
from pixelbrain.locks.file import FolderLock, hold_file
from pixelbrain.locks.owner import Owner


def test_a_held_file_says_by_whom_until_it_is_freed(tmp_path):
    path = tmp_path / "deep" / "run.lock"
    owner = Owner.this_process("extract")
    held, other = hold_file(path, owner)
    assert not held.lost and other is None
    assert hold_file(path, Owner.this_process("load")) == (None, owner)
    held.free()
    assert not path.with_suffix(".owner").exists()
    again, _other = hold_file(path, owner)
    again.free()


def test_a_killed_owner_is_not_named_for_the_one_that_took_over(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelbrain.locks.file._OWNER_WAIT_S", 0.2)
    held, _other = hold_file(tmp_path / "run.lock", Owner.this_process("extract"))
    (tmp_path / "run.owner").unlink()
    assert hold_file(tmp_path / "run.lock", Owner.this_process("load")) == (None, None)
    for no_owner in ("{}", "not JSON"):
        (tmp_path / "run.owner").write_text(no_owner)
        assert hold_file(tmp_path / "run.lock", Owner.this_process("load")) == (None, None)
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    gone = dataclasses.replace(Owner.this_process("load"), pid=int(ended.stdout))
    (tmp_path / "run.owner").write_text(json.dumps(dataclasses.asdict(gone)))
    began = time.monotonic()
    _held, other = hold_file(tmp_path / "run.lock", Owner.this_process("load"))
    assert other.is_dead() and time.monotonic() - began >= 0.2  # nobody else signed within the time
    held.free()


def test_a_store_in_use_names_its_user(tmp_path):
    program = (
        "import sys; from pathlib import Path; from pixelbrain.locks.file import FolderLock; "
        "FolderLock(Path(sys.argv[1]), 'MongoDB').acquire(); print('held', flush=True); sys.stdin.read()"
    )
    folder = tmp_path / "mongo"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError, match=rf"MongoDB in .*mongo is in use by process {other.pid} on .*wait"):
            FolderLock(folder, "MongoDB").acquire()
        other.communicate()
    with FolderLock(folder, "MongoDB") as lock, FolderLock(folder, "MongoDB"):
        assert lock.holders() == 2 and (tmp_path / "mongo.lock").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot lock ChromaDB in .*file/chroma"):
        FolderLock(tmp_path / "file" / "chroma", "ChromaDB").acquire()

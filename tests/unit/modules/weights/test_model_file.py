"""One file of weights as a module holds it: the published one, or the user's own."""

from __future__ import annotations

import hashlib
import os
import pickle

import pytest

from pixelbrain.errors import WeightsError
from pixelbrain.modules.weights.model_file import ModelFile
from pixelbrain.modules.weights.table import WEIGHTS


def test_the_published_hash_needs_no_file(tmp_path):
    file = ModelFile("resnet50", weights_dir=tmp_path, offline=True)
    assert file.sha256() == WEIGHTS["resnet50"].sha256 and file.required() == ["resnet50"]


def test_an_own_file_is_hashed_and_not_required(tmp_path):
    own = tmp_path / "own.pth"
    file = ModelFile("resnet50", own=own)
    for ask in (file.path, file.sha256):
        with pytest.raises(WeightsError, match=r"own\.pth"):
            ask()
    own.write_bytes(b"weights")
    assert (file.path(), file.required()) == (own, [])
    assert file.sha256() == hashlib.sha256(b"weights").hexdigest()


def test_it_means_the_same_in_another_folder(tmp_path, monkeypatch):
    (tmp_path / "own.pth").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    packed = pickle.dumps(ModelFile("resnet50", own="own.pth"))
    os.chdir("/")
    assert pickle.loads(packed).path() == tmp_path / "own.pth"


def test_a_hash_that_nobody_publishes_wants_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = ModelFile("facenet-casia-webface", weights_dir=tmp_path, offline=True)
    with pytest.raises(WeightsError, match="is not here, and its sha256 is published nowhere: fetch it first"):
        file.sha256()
    (tmp_path / WEIGHTS["facenet-casia-webface"].file_name).write_bytes(b"weights")
    assert file.sha256() == hashlib.sha256(b"weights").hexdigest()

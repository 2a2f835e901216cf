"""What a node has to see before it is given work."""

from __future__ import annotations

import sys

import pytest

from pixelbrain.engine import preflight
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.errors import EngineError, LandingError, SourceError
from pixelbrain.storage.open import open_storage


@pytest.fixture
def storage(tmp_path):
    made = open_storage(tmp_path / "out")
    made.write("work/probe", b"nonce")
    return made


def judge(seen, storage) -> None:
    preflight._judge("two", seen, b"nonce", storage, "photos/", "/photos/0.jpg")


def test_one_node_is_not_asked(tmp_path):
    preflight.check_shared([Node(cpus=2)], open_storage(tmp_path / "out"), "photos/", "file:///photos/0.jpg")
    assert not (tmp_path / "out").exists()


def test_a_node_that_sees_it_all(storage, photo_folder):
    seen = preflight._look(storage, str(photo_folder / "0.jpg"))
    judge(seen, storage)
    assert preflight._look(None, None).source  # both in S3


def test_a_node_that_sees_another_out(storage, tmp_path):
    with pytest.raises(LandingError, match="node two does not see what is written there"):
        judge(preflight._look(open_storage(tmp_path / "another"), None), storage)


def test_a_node_without_the_images(storage, tmp_path):
    with pytest.raises(SourceError, match=r"photos/ is here, and not on node two.*\(/photos/0.jpg\)"):
        judge(preflight._look(storage, str(tmp_path / "gone.jpg")), storage)


def test_a_node_with_another_python(storage):
    seen = preflight._Sight(python=(2, 7), probe=b"nonce", source=True)
    ours = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(EngineError, match=f"node two has Python 2.7, and this is {ours}"):
        judge(seen, storage)

"""dlib's embedder, whose weights come in a package."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pixelbrain.errors import MissingExtraError
from pixelbrain.modules.facenet import FacenetEmbedderModule
from tests.unit.modules.decoded import decoded


@pytest.fixture(scope="module")
def dlib_module() -> FacenetEmbedderModule:
    module = FacenetEmbedderModule("dlib")
    module.prepare()
    module.setup()
    return module


def test_dlib_tells_people_from_each_other_by_aligned_faces(
    dlib_module: FacenetEmbedderModule, photo: Callable
) -> None:
    image = photo("astronaut.png")
    mirrored = decoded(np.ascontiguousarray(image.pixels[:, ::-1]))
    turned = decoded(np.asarray(image.pil().rotate(8, Image.Resampling.BILINEAR)))
    rows = dlib_module.run([image, mirrored, turned])
    assert [row.get("n_faces") for row in rows] == [1, 1, 1]
    vectors = [row["faces"][0]["embedding"] for row in rows]
    for vector in vectors:
        assert vector.shape == (128,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.95
    assert vectors[0] @ vectors[2] > 0.95


def test_without_dlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dlib" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[offline\]'"):
        FacenetEmbedderModule("dlib").prepare()

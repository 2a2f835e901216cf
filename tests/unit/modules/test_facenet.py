"""Faces: found whatever the size, in the original's pixels, and embedded as facenet-pytorch itself does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1

from pixelbrain.errors import ConfigError
from pixelbrain.images.decode import DecodeTarget
from pixelbrain.modules.facenet import FacenetEmbedderModule
from tests.unit.modules.decoded import decoded


def test_equals_facenet_pytorchs_own(photo: Callable, seed_weights: Callable[..., Path]) -> None:
    network = InceptionResnetV1().eval()
    # as the released files have it: with the last layer of the training
    network.logits = torch.nn.Linear(512, 8631)
    path = seed_weights(network, "seeded.pt")
    module = FacenetEmbedderModule(weights_file=path)
    module.prepare()
    module.setup()
    image = photo("astronaut.png")
    crowd = decoded(np.tile(image.pixels, (1, 2, 1)))
    rows = module.run([image, crowd])
    assert [row["n_faces"] for row in rows] == [1, 2]

    mtcnn = MTCNN(keep_all=True)
    boxes, scores, points = (np.array(found.tolist()) for found in mtcnn.detect(image.pil(), landmarks=True))
    with torch.inference_mode():
        expected = network(mtcnn.extract(image.pil(), boxes, None)).numpy()
    assert expected.shape == (1, 512)
    face = rows[0]["faces"][0]
    np.testing.assert_allclose(face["embedding"], expected[0], atol=1e-4)
    assert np.abs(expected[0]).max() > 0.05  # or any vector would pass
    np.testing.assert_allclose([face[key] for key in ("x1", "y1", "x2", "y2")], boxes[0], atol=1e-3)
    np.testing.assert_allclose(face["landmarks"], points[0].ravel(), atol=1e-3)
    assert face["score"] == pytest.approx(scores[0], abs=1e-6)


def test_embedders_are_different_models() -> None:
    infos = {name: FacenetEmbedderModule(name).model_info() for name in ("facenet", "vggface2", "dlib")}
    assert infos["facenet"] == infos["vggface2"]
    assert (infos["facenet"].model, infos["facenet"].dim) == ("facenet-vggface2", 512)
    assert (infos["dlib"].model, infos["dlib"].dim) == ("dlib", 128)
    assert infos["dlib"].weights_sha256 != infos["facenet"].weights_sha256
    assert "landmarks_sha256" in FacenetEmbedderModule("dlib").settings()


def test_decoding_is_asked_for_what_detection_sees() -> None:
    assert FacenetEmbedderModule("dlib").decode_target == DecodeTarget(long_side_px=1024)
    assert FacenetEmbedderModule("dlib", detect_max_side_px=640).decode_target == DecodeTarget(long_side_px=640)


@pytest.mark.parametrize(
    "settings",
    [
        {"embedder": "arcface"},
        {"min_face_px": 5},
        {"detect_max_side_px": 10},
        {"min_score": 1.5},
        {"batch_size": 0},
        {"embedder": "dlib", "weights_file": "mine.pt"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        FacenetEmbedderModule(**settings)

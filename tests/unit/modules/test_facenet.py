"""Faces: found whatever the size, in the original's pixels, and embedded as facenet-pytorch itself does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from PIL import Image

from pixelbrain.errors import ConfigError, MissingExtraError, WeightsError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.face_embedders import normalise_rows
from pixelbrain.modules.facenet import FacenetEmbedderModule
from pixelbrain.modules.faces import FaceDetector, measure_sharpness


def set_up(detector: FaceDetector) -> FaceDetector:
    detector.setup()
    return detector


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    detector = FaceDetector()
    detector.prepare()
    return set_up(detector)


@pytest.fixture(scope="module")
def dlib_module() -> FacenetEmbedderModule:
    module = FacenetEmbedderModule("dlib")
    module.prepare()
    module.setup()
    return module


def decoded(pixels: np.ndarray, scale: float = 1.0) -> DecodedImage:
    """A photo as if it had been decoded at this scale."""
    height, width = pixels.shape[:2]
    return DecodedImage(
        image_id="file:///x", pixels=pixels, width=round(width / scale), height=round(height / scale), format="PNG"
    )


def tile(pixels: np.ndarray, columns: int, rows: int) -> np.ndarray:
    return np.tile(pixels, (rows, columns, 1))


def test_equals_facenet_pytorchs_own(photo: Callable, seed_weights: Callable[..., Path]) -> None:
    network = InceptionResnetV1().eval()
    # as the released files have it: with the last layer of the training
    network.logits = torch.nn.Linear(512, 8631)
    path = seed_weights(network, "seeded.pt")
    module = FacenetEmbedderModule(weights_file=path)
    module.prepare()
    module.setup()
    image = photo("astronaut.png")
    crowd = decoded(tile(image.pixels, 2, 1))
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


def test_faces_are_ordered_by_position(detector: FaceDetector, photo: Callable) -> None:
    pixels = photo("astronaut.png").pixels
    faces = detector.detect(decoded(tile(pixels, 2, 2)))
    assert len(faces) == 4
    cells = [(int(face.box[1] // 512), int(face.box[0] // 512)) for face in faces]
    assert cells == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_boxes_are_in_the_originals_pixels(photo: Callable) -> None:
    """Found on a copy of half the size, of a photo that was decoded at half its size."""
    image = photo("astronaut.png")
    (exact,) = set_up(FaceDetector()).detect(image)
    large = DecodedImage(image_id="x", pixels=image.pixels, width=1024, height=1024, format="JPEG")
    (face,) = set_up(FaceDetector(detect_max_side_px=256)).detect(large)
    np.testing.assert_allclose(face.box, exact.box * 2, atol=16)
    np.testing.assert_allclose(face.landmarks, exact.landmarks * 2, atol=16)
    np.testing.assert_allclose(face.photo_box, exact.box, atol=8)
    assert face.square.shape == (160, 160, 3)


def test_a_face_over_the_edge_is_clipped_to_the_photo(detector: FaceDetector, photo: Callable) -> None:
    pixels = photo("astronaut.png").pixels
    faces = detector.detect(decoded(np.ascontiguousarray(pixels[75:400, 190:500])))
    assert len(faces) == 1
    box = faces[0].box
    assert box[0] >= 0
    assert box[1] >= 0
    assert box[2] <= 310
    assert box[3] <= 325
    assert faces[0].landmarks.min() >= 0


@pytest.mark.parametrize("shape", [(1, 1), (19, 300), (20, 20), (12, 12), (21, 3000)], ids=str)
def test_tiny_photos_have_no_faces(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(decoded(np.full((*shape, 3), 128, dtype=np.uint8))) == []


def test_a_photo_without_people_has_no_faces(detector: FaceDetector, photo: Callable) -> None:
    assert detector.detect(photo("coffee.png")) == []


def test_candidates_outside_the_photo_do_not_stop_detection(photo: Callable) -> None:
    """facenet-pytorch raises IndexError for these; here by a second network that exaggerates."""
    detector = set_up(FaceDetector())
    with torch.no_grad():
        detector._mtcnn.rnet.dense5_2.weight.mul_(6)
        detector._mtcnn.rnet.dense5_2.bias.mul_(6)
    image = photo("astronaut.png")
    with pytest.raises(IndexError):
        detector._mtcnn.detect(image.pixels)
    for face in detector.detect(image):
        assert 0 <= face.box[0] < face.box[2] <= 512
        assert 0 <= face.box[1] < face.box[3] <= 512


def test_sharpness_falls_with_blur() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(noise).resize((40, 40), Image.Resampling.BOX).resize((160, 160)))
    assert measure_sharpness(np.full((160, 160, 3), 90, dtype=np.uint8)) == 0
    assert measure_sharpness(blurred) < measure_sharpness(noise) / 10


def test_sharpness_is_the_laplacians_variance() -> None:
    square = np.zeros((160, 160, 3), dtype=np.uint8)
    square[80, 80] = 100  # the Laplacian is -400 there, 100 at its 4 neighbours, 0 at the other 24959
    assert measure_sharpness(square) == pytest.approx((400**2 + 4 * 100**2) / 158**2, rel=1e-3)


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


def test_embedders_are_different_models() -> None:
    infos = {name: FacenetEmbedderModule(name).model_info() for name in ("facenet", "vggface2", "dlib")}
    assert infos["facenet"] == infos["vggface2"]
    assert (infos["facenet"].model, infos["facenet"].dim) == ("facenet-vggface2", 512)
    assert (infos["dlib"].model, infos["dlib"].dim) == ("dlib", 128)
    assert infos["dlib"].weights_sha256 != infos["facenet"].weights_sha256
    assert "landmarks_sha256" in FacenetEmbedderModule("dlib").settings()


def test_casia_is_known_by_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    module = FacenetEmbedderModule("casia-webface", weights_dir=tmp_path, offline=True)
    with pytest.raises(WeightsError, match="fetch it first"):
        module.model_info()
    (tmp_path / "20180408-102900-casia-webface.pt").write_bytes(b"something")
    assert module.model_info().model == "facenet-casia-webface"
    with pytest.raises(WeightsError, match="is not a file of weights"):
        module.setup()


def test_no_weights_offline_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="20180402-114759-vggface2.pt .*--offline"):
        FacenetEmbedderModule(offline=True).prepare()


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


def test_a_vector_without_direction_is_an_error() -> None:
    from pixelbrain.errors import ModuleError

    with pytest.raises(ModuleError):
        normalise_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    with pytest.raises(ModuleError):
        normalise_rows(np.array([[np.nan, 4.0]]))


def test_without_dlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dlib" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'pixelbrain\[offline\]'"):
        FacenetEmbedderModule("dlib").prepare()

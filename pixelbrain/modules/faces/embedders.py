"""From a face to a vector: what every face embedder is, InceptionResnetV1 (FaceNet), and dlib's network."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelbrain import schema
from pixelbrain.errors import ModuleError
from pixelbrain.images.preprocess import FacePreprocessor
from pixelbrain.images.torchvision import import_torchvision
from pixelbrain.modules.faces.detector import Face
from pixelbrain.modules.weights.find import ModelFile, find_package

_FACES_AT_ONCE = 64  # a photo may hold hundreds


class FaceEmbedder(abc.ABC):
    """Faces in, one vector a face out; cheap to make and to pickle until `setup`."""

    model: str  # its `schema.ModelInfo.model`
    dim: int
    weights_files: Sequence[ModelFile]  # the first decides the vectors

    def model_info(self) -> schema.ModelInfo:
        """Which model it is."""
        return schema.ModelInfo(model=self.model, weights_sha256=self.weights_files[0].sha256(), dim=self.dim)

    def settings(self) -> dict[str, Any]:
        """What decides the vectors, as JSON."""
        return {"model": self.model, "weights_sha256": self.weights_files[0].sha256()}

    def check(self) -> None:  # noqa: B027  (facenet-pytorch is always here)
        """Raises `MissingExtraError` where its package is not installed."""

    @abc.abstractmethod
    def setup(self, device: str = "cpu") -> None:
        """Load the model."""

    @abc.abstractmethod
    def _embed(self, faces: Sequence[Face]) -> np.ndarray:
        """Some faces, one or more, to (len(faces), dim), of any length."""

    def embed(self, faces: Sequence[Face]) -> np.ndarray:
        """Faces of any photos, to float32 (len(faces), dim), L2-normalised."""
        vectors = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(faces), _FACES_AT_ONCE):
            vectors.append(self._embed(faces[start : start + _FACES_AT_ONCE]))
        return normalise_rows(np.concatenate(vectors))


class InceptionEmbedder(FaceEmbedder):
    """facenet-pytorch's InceptionResnetV1; in float32, so that vectors equal its own within 1e-4."""

    dim = 512

    def __init__(self, dataset: str, *, weights_file: str | Path | None = None, **where: Any) -> None:
        """`dataset` is what it was trained on: vggface2 or casia-webface; `where` is as of `ModelFile`."""
        self.model = f"facenet-{dataset}"
        self.weights_files = (ModelFile(self.model, own=weights_file, **where),)

    def setup(self, device: str = "cpu") -> None:
        import_torchvision()
        import torch
        from facenet_pytorch import InceptionResnetV1

        from pixelbrain.modules.fused import fuse_convolutions
        from pixelbrain.modules.inference import fold_batch_norms, load_state

        model = InceptionResnetV1().eval()
        # the released files also hold the last layer of the training, one row a person of the dataset
        load_state(model, self.weights_files[0].path(), ignore=("logits.",))
        self._model = fuse_convolutions(fold_batch_norms(model).to(device, memory_format=torch.channels_last))
        self._device = device

    def _embed(self, faces: Sequence[Face]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            values = FacePreprocessor().to_tensor(np.stack([face.square for face in faces]), device=self._device)
            return self._model(values).float().cpu().numpy()


class DlibEmbedder(FaceEmbedder):
    """dlib's `face_recognition_model_v1`, on faces that its 5-point landmarks have aligned; always on the CPU.

    Its weights come in a package: 128 numbers a face, without a download.
    """

    model = "dlib"
    dim = 128

    def __init__(self) -> None:
        self.weights_files = (ModelFile("dlib-face-recognition"), ModelFile("dlib-landmarks"))

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "landmarks_sha256": self.weights_files[1].sha256()}

    def check(self) -> None:
        find_package("dlib", "--embedder dlib", "'pixelbrain[offline]'")

    def setup(self, device: str = "cpu") -> None:
        self.check()
        import dlib

        recognition, landmarks = (str(file.path()) for file in self.weights_files)
        self._network = dlib.face_recognition_model_v1(recognition)
        self._predictor = dlib.shape_predictor(landmarks)

    def _embed(self, faces: Sequence[Face]) -> np.ndarray:
        # its batches are no faster on a CPU than its single faces
        return np.stack([self._embed_one(face) for face in faces])

    def _embed_one(self, face: Face) -> np.ndarray:
        import dlib

        x1, y1, x2, y2 = (round(float(value)) for value in face.photo_box)
        points = self._predictor(face.photo, dlib.rectangle(x1, y1, x2, y2))
        chip = dlib.get_face_chip(face.photo, points)  # 150 px, upright, a quarter of padding: what it was trained on
        return np.asarray(self._network.compute_face_descriptor(chip), dtype=np.float32)


def normalise_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) to float32 rows of length 1. Raises `ModuleError` for a row that has no direction."""
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ModuleError("the embedder gave a vector that is zero or not finite; are its weights whole?")
    return vectors / lengths

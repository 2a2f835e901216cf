"""From a face to a vector: what every face embedder is, and InceptionResnetV1 (FaceNet)."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelbrain import schema
from pixelbrain.errors import ModuleError
from pixelbrain.images.preprocess import FacePreprocessor
from pixelbrain.modules.faces import Face
from pixelbrain.modules.weights.model_file import ModelFile

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
    def embed(self, faces: Sequence[Face]) -> np.ndarray:
        """Faces of any photos, to float32 (len(faces), dim), L2-normalised."""


class InceptionEmbedder(FaceEmbedder):
    """facenet-pytorch's InceptionResnetV1; in float32, so that vectors equal its own within 1e-4."""

    dim = 512

    def __init__(self, dataset: str, *, weights_file: str | Path | None = None, **where: Any) -> None:
        """`dataset` is what it was trained on: vggface2 or casia-webface; `where` is as of `ModelFile`."""
        self.model = f"facenet-{dataset}"
        self.weights_files = (ModelFile(self.model, own=weights_file, **where),)

    def setup(self, device: str = "cpu") -> None:
        import torch
        from facenet_pytorch import InceptionResnetV1

        from pixelbrain.modules.inference import fold_batch_norms, load_state

        model = InceptionResnetV1().eval()
        # the released files also hold the last layer of the training, one row a person of the dataset
        load_state(model, self.weights_files[0].path(), ignore=("logits.",))
        self._model = fold_batch_norms(model).to(device, memory_format=torch.channels_last)
        self._device = device

    def embed(self, faces: Sequence[Face]) -> np.ndarray:
        import torch

        vectors = [np.empty((0, self.dim), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(faces), _FACES_AT_ONCE):
                batch = np.stack([face.square for face in faces[start : start + _FACES_AT_ONCE]])
                values = FacePreprocessor().to_tensor(batch, device=self._device)
                vectors.append(self._model(values).float().cpu().numpy())
        return normalise_rows(np.concatenate(vectors))


def normalise_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) to float32 rows of length 1. Raises `ModuleError` for a row that has no direction."""
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ModuleError("the embedder gave a vector that is zero or not finite; are its weights whole?")
    return vectors / lengths

"""dlib's face recognition network, whose weights come in a package: 128 numbers a face, without a download."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from pixelbrain.errors import MissingExtraError
from pixelbrain.modules.face_embedders import FaceEmbedder, normalise_rows
from pixelbrain.modules.faces import Face
from pixelbrain.modules.weights.model_file import ModelFile


class DlibEmbedder(FaceEmbedder):
    """dlib's `face_recognition_model_v1`, on faces that its 5-point landmarks have aligned; always on the CPU."""

    model = "dlib"
    dim = 128

    def __init__(self) -> None:
        self.weights_files = (ModelFile("dlib-face-recognition"), ModelFile("dlib-landmarks"))

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "landmarks_sha256": self.weights_files[1].sha256()}

    def check(self) -> None:
        if importlib.util.find_spec("dlib") is None:
            raise MissingExtraError("--embedder dlib: package dlib is not installed: pip install 'pixelbrain[offline]'")

    def setup(self, device: str = "cpu") -> None:
        self.check()
        import dlib

        recognition, landmarks = (str(file.path()) for file in self.weights_files)
        self._network = dlib.face_recognition_model_v1(recognition)
        self._predictor = dlib.shape_predictor(landmarks)

    def embed(self, faces: Sequence[Face]) -> np.ndarray:
        if not faces:
            return np.empty((0, self.dim), np.float32)
        # its batches are no faster on a CPU than its single faces
        return normalise_rows(np.stack([self._embed(face) for face in faces]))

    def _embed(self, face: Face) -> np.ndarray:
        import dlib

        x1, y1, x2, y2 = (round(float(value)) for value in face.photo_box)
        points = self._predictor(face.photo, dlib.rectangle(x1, y1, x2, y2))
        chip = dlib.get_face_chip(face.photo, points)  # 150 px, upright, a quarter of padding: what it was trained on
        return np.asarray(self._network.compute_face_descriptor(chip), dtype=np.float32)

"""Find all faces of a photo and embed them: the column that identities are clustered from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import ONNX, check_embedder
from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.faces.detector import FaceDetector
from pixelbrain.modules.faces.embedders import DlibEmbedder, FaceEmbedder, InceptionEmbedder


class FacenetEmbedderModule(PipelineModule):
    """MTCNN's faces, each with an embedding; the column is named `facenet`, whichever embedder it is.

    Fields: `schema.faces_fields`; the embedding has 512 numbers, dlib's 128, and length 1.
    """

    name = "facenet"

    def __init__(
        self,
        embedder: str = "vggface2",
        *,
        detect_max_side_px: int = 1024,
        min_face_px: int = 20,
        min_score: float = 0.9,
        turns: str = "auto",
        batch_size: int = 16,
        weights_dir: str | Path | None = None,
        weights_file: str | Path | None = None,
        offline: bool = False,
    ) -> None:
        """Configure; nothing is loaded.

        Args:
            embedder: vggface2 (or facenet), casia-webface, dlib, or onnx:FILE, see `OnnxEmbedder`.
            detect_max_side_px: detect on a copy no longer than this; the embedder sees all decoded pixels.
            min_face_px: the smallest face to look for, in pixels of that copy.
            min_score: the least detection probability for a face to land; see `FaceDetector`.
            turns: auto, or never; see `FaceDetector`.
            batch_size: photos whose faces go through the embedder together.
            weights_dir: a folder to look for weights in first.
            weights_file: your own weights of InceptionResnetV1, instead of the released ones.
            offline: download nothing.

        Raises:
            ConfigError: a value that cannot work.
        """
        embedder = check_embedder(embedder)
        self.resources = Resources(
            batch_size=batch_size,
            memory_bytes=800 * 1024**2,  # torch, the models and a batch: measured, 1 GB with the rest of a process
            input_bytes=6 * 1000**2,  # a photo of 12 megapixels, decoded at a half or a quarter
        )
        self.decode_target = DecodeTarget(long_side_px=detect_max_side_px)  # type: ignore[misc]  # it depends
        self._detector = FaceDetector(
            detect_max_side_px=detect_max_side_px, min_face_px=min_face_px, min_score=min_score, turns=turns
        )
        self._embedder: FaceEmbedder
        if weights_file is not None and embedder.startswith(("dlib", ONNX)):
            raise ConfigError(f"weights_file is for InceptionResnetV1, and the embedder is {embedder}")
        if embedder == "dlib":
            self._embedder = DlibEmbedder()
        elif embedder.startswith(ONNX):
            from pixelbrain.modules.faces.onnx_embedder import OnnxEmbedder

            self._embedder = OnnxEmbedder(embedder.removeprefix(ONNX))
        else:
            dataset = "vggface2" if embedder == "facenet" else embedder
            self._embedder = InceptionEmbedder(
                dataset, weights_dir=weights_dir, weights_file=weights_file, offline=offline
            )
        self.weights_files = self._embedder.weights_files
        self._ready = False

    def fields(self) -> list[pa.Field]:
        return schema.faces_fields(self._embedder.dim)

    def settings(self) -> dict[str, Any]:
        return {**self._embedder.settings(), **self._detector.settings()}

    @classmethod
    def arguments(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        embedder = {"embedder": settings["model"].removeprefix("facenet-")} if "model" in settings else {}
        # what landed before there were turns is as without them
        return embedder | {"turns": "never"} | super().arguments(settings)

    def model_info(self) -> schema.ModelInfo:
        return self._embedder.model_info()

    def prepare(self) -> None:
        self._detector.prepare()
        self._embedder.check()
        super().prepare()

    def setup(self, device: str = "cpu") -> None:
        from pixelbrain.modules.inference import check_device

        check_device(device)
        self._detector.setup(device)
        self._embedder.setup(device)
        self._ready = True

    def process_batch(self, images: Sequence[DecodedImage]) -> list[dict[str, Any]]:
        if not self._ready:
            raise ModuleError("the face models are not loaded: call setup() first")
        found = self._detector.detect_all(images)
        vectors = iter(self._embedder.embed([face for faces in found for face in faces]))
        rows = []
        for image, faces in zip(images, found, strict=True):
            structs = [
                {
                    "face_id": schema.face_id(image.image_id, index),
                    **dict(zip(("x1", "y1", "x2", "y2"), face.box.tolist(), strict=True)),
                    "landmarks": face.landmarks.ravel(),
                    "score": face.score,
                    "sharpness": face.sharpness,
                    "upright": face.upright,
                    "visible": face.visible,
                    "embedding": next(vectors),
                }
                for index, face in enumerate(faces)
            ]
            rows.append({"n_faces": len(faces), "turn": faces[0].turn if faces else 0, "faces": structs})
        return rows

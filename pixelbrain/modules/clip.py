"""CLIP: a vector a photo that words are compared with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import choose
from pixelbrain.errors import ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.images.preprocess import Preprocessor
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.words.towers import encode_texts, find_model


class ClipEmbedderModule(PipelineModule):
    """One of open_clip's models; the column is named `clip`, whichever it is.

    Field: `embedding`, of 512 numbers (768 of ViT-L-14) and length 1.
    """

    name = "clip"

    def __init__(
        self,
        model: str = "ViT-B-32",
        *,
        precision: str = "auto",
        batch_size: int = 32,
        weights_dir: str | Path | None = None,
        weights_file: str | Path | None = None,
        offline: bool = False,
    ) -> None:
        """Configure; nothing is loaded.

        Args:
            model: ViT-B-32, ViT-L-14, or local-dir:DIR, another one of open_clip's as it lies on Hugging Face.
            precision: of the arithmetic on photos, as for `ResnetClassifierModule`; texts are always float32.
            batch_size: photos that go through the model together.
            weights_dir: a folder to look for weights in first.
            weights_file: your own weights of the same architecture, .safetensors, instead of the published ones.
            offline: download nothing.

        Raises:
            ConfigError: a value that cannot work.
            MissingExtraError: open_clip is not installed.
        """
        choose("precision", precision, ("auto", "float32", "bfloat16"))
        self._model = find_model(model, weights_dir=weights_dir, weights_file=weights_file, offline=offline)
        self._precision = precision
        self.weights_files = (self._model.file,)
        self.resources = Resources(
            batch_size=batch_size, memory_bytes=self._model.memory_bytes, input_bytes=3 * self._model.side_px**2
        )
        self._ready = False

    @property
    def decode_target(self) -> DecodeTarget:  # type: ignore[override]  # it depends on the model
        """The short side that preprocessing resizes to."""
        return DecodeTarget(short_side_px=self._model.side_px)

    @functools.cached_property
    def _preprocessor(self) -> Preprocessor:
        return self._model.preprocessor()

    def fields(self) -> list[pa.Field]:
        return [pa.field("embedding", schema.embedding_type(self._model.dim))]

    def settings(self) -> dict[str, Any]:
        weights = self.weights_files[0].sha256()
        return {"model": self._model.name, "weights_sha256": weights, "precision": self._precision}

    def model_info(self) -> schema.ModelInfo:
        weights = self.weights_files[0].sha256()
        return schema.ModelInfo(model=f"clip-{self._model.name}", weights_sha256=weights, dim=self._model.dim)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        tokens = self._model.tokens(texts)
        return encode_texts(self._model.load(), tokens)

    def setup(self, device: str = "cpu") -> None:
        from pixelbrain.modules.inference import check_device, choose_dtype

        check_device(device)
        self._device = device
        self._dtype = choose_dtype(self._precision, device)
        self._visual = self._model.load().visual.to(device, self._dtype)
        self._ready = True

    def preprocess(self, image: DecodedImage) -> np.ndarray:
        """The square that the model sees: uint8 (crop, crop, 3)."""
        return self._preprocessor.to_pixels(image.pil())

    def process_batch(self, squares: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        if not self._ready:
            raise ModuleError("CLIP's weights are not loaded: call setup() first")
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            values = self._preprocessor.to_tensor(np.stack(squares), device=self._device, dtype=self._dtype)
            found = normalize(self._visual(values).float(), dim=1)
            if not torch.isfinite(found).all():
                raise ModuleError(f"{self._model.name} gave no finite numbers in {self._dtype}; try float32")
        return [{"embedding": vector} for vector in found.cpu().numpy()]

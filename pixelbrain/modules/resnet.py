"""Classify photos: the likeliest ImageNet classes with probabilities, and a pooled embedding for visual similarity."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import choose
from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.images.preprocess import Preprocessor
from pixelbrain.modules.backbones import BACKBONES
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.weights.find import ModelFile


class ResnetClassifierModule(PipelineModule):
    """An ImageNet classifier; its column is named `resnet`, whichever architecture it is.

    Fields: `schema.classifier_fields`; the embedding is the input of the last layer, 2048 numbers for resnet50, 512
    for resnet18, 1280 for efficientnet-lite0, not normalised.
    """

    name = "resnet"

    def __init__(
        self,
        model: str = "resnet50",
        *,
        classes: Sequence[str] | None = None,
        top_k: int = 5,
        precision: str = "auto",
        batch_size: int = 32,
        weights_dir: str | Path | None = None,
        weights_file: str | Path | None = None,
        offline: bool = False,
    ) -> None:
        """Configure; nothing is loaded.

        Args:
            model: resnet50, resnet18 or efficientnet-lite0.
            classes: ImageNet class names, in any case of letters, out of which to pick; probabilities are then over
                these alone. None: all 1,000.
            top_k: how many of the likeliest classes a row gets.
            precision: of the arithmetic: float32, bfloat16, or auto: bfloat16 (float16 on older GPUs) where the
                device has units for it. Softmax is float32 always.
            batch_size: photos that go through the model together.
            weights_dir: a folder to look for weights in first.
            weights_file: your own weights of the same architecture, instead of the official ones.
            offline: download nothing.

        Raises:
            ConfigError: a value that cannot work; an unknown class comes with the nearest ones.
        """
        choose("classifier", model, BACKBONES)
        choose("precision", precision, ("auto", "float32", "bfloat16"))
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}: it is 1 or more")
        # torch, a model and a batch: measured, 0.9 GB with the rest of a process
        self.resources = Resources(batch_size=batch_size, memory_bytes=700 * 1024**2, input_bytes=3 * 224 * 224)
        self._backbone = BACKBONES[model]
        self._top_k = top_k
        self._precision = precision
        self.weights_files = (ModelFile(model, weights_dir=weights_dir, own=weights_file, offline=offline),)
        self._classes = None if classes is None else _find_classes(classes, self._backbone.class_names())
        self._ready = False

    @property
    def decode_target(self) -> DecodeTarget:  # type: ignore[override]  # it depends on the model
        """The short side that preprocessing resizes to."""
        return DecodeTarget(short_side_px=self._preprocessor.resize_px)

    @functools.cached_property
    def _preprocessor(self) -> Preprocessor:
        return self._backbone.preprocessor()

    def fields(self) -> list[pa.Field]:
        return schema.classifier_fields(self._backbone.dim)

    def settings(self) -> dict[str, Any]:
        return {
            "model": self._backbone.name,
            "weights_sha256": self.weights_files[0].sha256(),
            "classes": self._classes,
            "top_k": self._top_k,
            "precision": self._precision,
        }

    def model_info(self) -> schema.ModelInfo:
        weights = self.weights_files[0].sha256()
        return schema.ModelInfo(model=self._backbone.name, weights_sha256=weights, dim=self._backbone.dim)

    def setup(self, device: str = "cpu") -> None:
        import torch

        from pixelbrain.modules.fused import fuse_convolutions
        from pixelbrain.modules.inference import check_device, choose_dtype, fold_batch_norms

        check_device(device)
        body, head = self._backbone.load(self.weights_files[0].path())
        self._device = device
        self._dtype = choose_dtype(self._precision, device)
        body = fold_batch_norms(body).to(device, self._dtype).to(memory_format=torch.channels_last)
        self._body = fuse_convolutions(body)
        names = self._backbone.class_names()
        if self._classes is not None:
            # of the last layer only the rows of these classes
            indices = [index for index, name in enumerate(names) if name in self._classes]
            names = [names[index] for index in indices]
            head.weight.data, head.bias.data = head.weight.data[indices], head.bias.data[indices]
        self._head = head.to(device)
        self._labels = names
        self._ready = True

    def preprocess(self, image: DecodedImage) -> np.ndarray:
        """The square that the model sees: uint8 (crop, crop, 3)."""
        return self._preprocessor.to_pixels(image.pil())

    def process_batch(self, squares: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        if not self._ready:
            raise ModuleError("the classifier's weights are not loaded: call setup() first")
        embeddings, scores, indices = self._forward(np.stack(squares))
        rows = []
        for embedding, *best in zip(embeddings, scores.tolist(), indices.tolist(), strict=True):
            top = [{"label": self._labels[index], "score": score} for score, index in zip(*best, strict=True)]
            rows.append(
                {"label": top[0]["label"], "label_score": top[0]["score"], "top_k": top, "embedding": embedding}
            )
        return rows

    def _forward(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """uint8 (N, crop, crop, 3) to embeddings (N, dim), and probabilities and class indices (N, top_k)."""
        import torch

        from pixelbrain.modules.inference import run_in_parts

        with torch.inference_mode():
            values = self._preprocessor.to_tensor(batch, device=self._device, dtype=self._dtype)
            embeddings = run_in_parts(self._body, values).float()
            probabilities = self._head(embeddings).softmax(dim=1)
            if not torch.isfinite(probabilities).all():
                raise ModuleError(f"{self._backbone.name} gave no finite numbers in {self._dtype}; try float32")
            scores, indices = probabilities.topk(min(self._top_k, len(self._labels)), dim=1)
            return embeddings.cpu().numpy(), scores.cpu().numpy(), indices.cpu().numpy()


def _find_classes(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """The class names that are meant, as they are written in `names` and in its order."""
    by_folded = {name.casefold(): name for name in names}
    found = set()
    for name in wanted:
        folded = name.strip().casefold()
        if folded not in by_folded:
            near = difflib.get_close_matches(folded, by_folded, n=3, cutoff=0.5)
            near = near or [other for other in by_folded if folded and folded in other][:3]
            hint = f"; near it: {', '.join(by_folded[other] for other in near)}" if near else ""
            raise ConfigError(f"{name!r} is none of ImageNet's class names{hint}")
        found.add(by_folded[folded])
    if not found:
        raise ConfigError("classes is empty: name those to pick from, or leave it out for all 1,000")
    return [name for name in names if name in found]

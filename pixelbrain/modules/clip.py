"""CLIP: a vector a photo that words are compared with, and which of the user's own labels fits it best, if any does."""

from __future__ import annotations

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
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.weights.table import WEIGHTS
from pixelbrain.modules.words.labels import TEMPLATE, Labels
from pixelbrain.modules.words.towers import encode_texts, find_model


class ClipEmbedderModule(PipelineModule):
    """One of open_clip's models; the column is named `clip`, whichever it is.

    Fields: `embedding`, of 512 numbers (768 of ViT-L-14) and length 1. With labels also `top_k`, the likeliest with
    their probabilities, `none_score`, how likely none of them fits, and `label` and `label_score`, the likeliest one;
    where none of them is likelier than it, `label` is null. All probabilities are of one softmax.

    That none fits is one more thing to choose, with prompts of its own, and no least cosine: cosines of pictures and
    texts differ by model, by photo and by prompt, and what is compared within one photo needs no number to be right.
    """

    name = "clip"

    def __init__(
        self,
        model: str = "ViT-B-32",
        *,
        labels: Sequence[str] | str | Path | None = None,
        label_template: str = TEMPLATE,
        top_k: int = 5,
        precision: str = "auto",
        batch_size: int = 32,
        weights_dir: str | Path | None = None,
        weights_file: str | Path | None = None,
        offline: bool = False,
    ) -> None:
        """Configure; nothing is loaded.

        Args:
            model: ViT-B-32, ViT-L-14, or local-dir:DIR, another one of open_clip's as it lies on Hugging Face.
            labels: out of which to pick: their lines, or a file of them; see `words.labels`.
            label_template: the prompt of a label without one of its own, {} in its place.
            top_k: how many of the likeliest labels a row gets.
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
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}: it is 1 or more")
        self._model = find_model(model, weights_dir=weights_dir, weights_file=weights_file, offline=offline)
        self._labels = None if labels is None else Labels(labels, label_template)
        self._top_k, self._precision = top_k, precision
        self.weights_files = (self._model.file,)
        # torch, a batch, and while it is loaded the model twice: measured, 1.7 GB with the rest of a process
        size = next((WEIGHTS[name].size_bytes for name in self._model.file.required()), None) or 600 * 1000**2
        input_bytes = 3 * self._model.side_px**2
        memory_bytes = 400 * 1024**2 + 2 * size
        self.resources = Resources(batch_size=batch_size, memory_bytes=memory_bytes, input_bytes=input_bytes)
        self._ready = False

    @property
    def decode_target(self) -> DecodeTarget:  # type: ignore[override]  # it depends on the model
        """The short side that preprocessing resizes to."""
        return DecodeTarget(short_side_px=self._model.side_px)

    @functools.cached_property
    def _preprocessor(self) -> Preprocessor:
        return self._model.preprocessor()

    def fields(self) -> list[pa.Field]:
        picked = schema.classifier_fields(self._model.dim)[:3] + [pa.field("none_score", pa.float32())]
        return [*(picked if self._labels else ()), pa.field("embedding", schema.embedding_type(self._model.dim))]

    def settings(self) -> dict[str, Any]:
        labels = self._labels
        return {
            "model": self._model.name,
            "weights_sha256": self.weights_files[0].sha256(),
            "precision": self._precision,
            "labels": labels and labels.lines(),
            **({"top_k": self._top_k} if labels else {}),  # without labels, it decides nothing
        }

    def model_info(self) -> schema.ModelInfo:
        weights = self.weights_files[0].sha256()
        return schema.ModelInfo(model=f"clip-{self._model.name}", weights_sha256=weights, dim=self._model.dim)

    def check_weights(self) -> None:
        super().check_weights()
        if self._labels:
            self._model.check_texts(self._labels.all_prompts())

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        tokens = self._model.tokens(texts)
        return encode_texts(self._model.load(), tokens)

    def setup(self, device: str = "cpu") -> None:
        import torch

        from pixelbrain.modules.inference import check_device, choose_dtype

        check_device(device)
        tokens = None if self._labels is None else self._model.tokens(self._labels.all_prompts())
        model = self._model.load()
        if tokens is not None:
            self._choices = torch.from_numpy(self._choose_from(model, tokens)).to(device)
            self._scale = float(model.logit_scale.detach().exp())
        self._device = device
        self._dtype = choose_dtype(self._precision, device)
        self._visual = model.visual.to(device, self._dtype)  # the texts' tower has done its work
        self._ready = True

    def _choose_from(self, model: Any, tokens: Any) -> np.ndarray:
        """A unit vector each of the labels, which is the mean of its prompts', and of what it may be instead."""
        assert self._labels
        vectors = encode_texts(model, tokens)
        counts = [len(prompts) for prompts in self._labels.prompts.values()] + [1] * len(self._labels.instead)
        means = np.add.reduceat(vectors, np.cumsum([0, *counts[:-1]]))
        return means / np.linalg.norm(means, axis=1, keepdims=True)

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
            picked: list[dict[str, Any]] = [{}] * len(squares)
            if self._labels:
                shares = (self._scale * found @ self._choices.T).softmax(dim=1).cpu().numpy()
                picked = [self._pick(list(self._labels.prompts), row) for row in shares]
        return [row | {"embedding": vector} for row, vector in zip(picked, found.cpu().numpy(), strict=True)]

    def _pick(self, labels: Sequence[str], shares: np.ndarray) -> dict[str, Any]:
        """A row's labels, out of the shares of each of them, and of all else."""
        none = float(shares[len(labels) :].sum())
        best = np.argsort(-shares[: len(labels)], kind="stable")[: self._top_k]
        top = [{"label": labels[i], "score": float(shares[i])} for i in best]
        label = top[0]["label"] if top[0]["score"] > none else None
        return {"label": label, "label_score": top[0]["score"], "top_k": top, "none_score": none}

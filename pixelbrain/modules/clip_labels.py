"""Which of the user's own labels fits a photo best, if any does: CLIP's vector of it beside those of their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import ConfigError, ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.words.labels import TEMPLATE, Labels
from pixelbrain.modules.words.towers import encode_texts, find_model


class ClipLabelsModule(PipelineModule):
    """Stands on `ClipEmbedderModule` of the same model, so that with other labels no photo goes through it again.

    Fields: `top_k`, the likeliest labels with their probabilities; `none_score`, how likely none of them fits; `label`
    and `label_score`, the likeliest one, but `label` is null where it is not likelier than none of them. All
    probabilities are of one softmax.

    That none fits is one more thing to choose, with prompts of its own, and no least cosine: cosines of pictures and
    texts differ by model, by photo and by prompt, and what is compared within one photo needs no number to be right.
    """

    name = "clip_labels"
    requires = ("clip",)
    decode_target = DecodeTarget(short_side_px=1)  # it looks at no pixel

    def __init__(
        self,
        labels: Sequence[str] | str | Path = (),
        *,
        label_template: str = TEMPLATE,
        model: str = "ViT-B-32",
        top_k: int = 5,
        weights_dir: str | Path | None = None,
        weights_file: str | Path | None = None,
        offline: bool = False,
    ) -> None:
        """Configure; nothing is loaded.

        Args:
            labels: out of which to pick: their lines, or a file of them; see `words.labels`.
            label_template: the prompt of a label without one of its own, {} in its place.
            top_k: how many of the likeliest a row gets.
            model, weights_dir, weights_file, offline: as of the `ClipEmbedderModule`.

        Raises:
            ConfigError: no labels, or a value that cannot work.
            MissingExtraError: open_clip is not installed.
        """
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}: it is 1 or more")
        self._labels = Labels(labels, label_template)
        self._top_k = top_k
        self._model = find_model(model, weights_dir=weights_dir, weights_file=weights_file, offline=offline)
        self.weights_files = (self._model.file,)
        self.resources = Resources(batch_size=256, memory_bytes=self._model.memory_bytes, input_bytes=1)
        self._choices: np.ndarray | None = None

    def fields(self) -> list[pa.Field]:
        return [*schema.classifier_fields(1)[:3], pa.field("none_score", pa.float32())]

    def settings(self) -> dict[str, Any]:
        weights = self.weights_files[0].sha256()
        found = {"model": self._model.name, "weights_sha256": weights, "labels": self._labels.lines()}
        return found | {"top_k": self._top_k}

    def model_info(self) -> schema.ModelInfo:
        return schema.ModelInfo(model=f"clip-{self._model.name}", weights_sha256=self.weights_files[0].sha256())

    def check_weights(self) -> None:
        super().check_weights()
        self._model.check_texts(self._labels.all_prompts())

    def setup(self, device: str = "cpu") -> None:
        tokens = self._model.tokens(self._labels.all_prompts())
        model = self._model.load()
        vectors = encode_texts(model, tokens)
        # of a label the mean of its prompts', as open_clip's zero-shot classifiers have it
        counts = [len(prompts) for prompts in self._labels.prompts.values()] + [1] * len(self._labels.instead)
        means = np.add.reduceat(vectors, np.cumsum([0, *counts[:-1]]))
        self._choices = means / np.linalg.norm(means, axis=1, keepdims=True)
        self._scale = float(model.logit_scale.detach().exp())

    def preprocess(self, image: DecodedImage) -> None:
        return None

    def process_batch(
        self, inputs: Sequence[None], *, clip: Sequence[dict[str, Any]], **_: Any
    ) -> list[dict[str, Any]]:
        if self._choices is None:
            raise ModuleError("CLIP's weights are not loaded: call setup() first")
        vectors = np.array([struct["embedding"] for struct in clip], np.float32)
        if vectors.shape[1] != self._choices.shape[1]:
            raise ModuleError(
                f"the vectors of clip have {vectors.shape[1]} numbers, those of {self._model.name}'s labels "
                f"{self._choices.shape[1]}: use one model for both"
            )
        logits = self._scale * vectors @ self._choices.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [self._pick(row) for row in shares / shares.sum(axis=1, keepdims=True)]

    def _pick(self, shares: np.ndarray) -> dict[str, Any]:
        """A row's labels, out of the shares of each of them, and of all else."""
        labels = list(self._labels.prompts)
        none = float(shares[len(labels) :].sum())
        best = np.argsort(-shares[: len(labels)], kind="stable")[: self._top_k]
        top = [{"label": labels[i], "score": float(shares[i])} for i in best]
        label = top[0]["label"] if top[0]["score"] > none else None
        return {"label": label, "label_score": top[0]["score"], "top_k": top, "none_score": none}

"""One of open_clip's models: its files, its preprocessing, and its two towers, for pictures and for texts."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelbrain.config import CLIP_FOLDER, CLIP_MODELS, choose
from pixelbrain.errors import ConfigError, WeightsError
from pixelbrain.images.preprocess import ClipPreprocessor
from pixelbrain.modules.weights.find import ModelFile
from pixelbrain.modules.weights.table import WEIGHTS
from pixelbrain.modules.words.open_clip import find_open_clip, import_open_clip

if TYPE_CHECKING:
    import torch

#: open_clip's name of the weights that are published for each model; the file is `clip-NAME` of `weights.WEIGHTS`.
PRETRAINED = {"ViT-B-32": "laion2b_s34b_b79k", "ViT-L-14": "laion2b_s32b_b82k"}
#: What a folder of Hugging Face's for open_clip holds: the first that is there.
_CONFIG, _WEIGHTS = "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_RESIZED = {"interpolation": ("bicubic", "bilinear"), "resize_mode": ("shortest", "squash")}
_MARKS = 2  # the tokens at a text's beginning and end
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class ClipModel:
    """One model. Cheap to have and to pickle: what needs open_clip imports it when called."""

    name: str  # in settings: ViT-B-32, or local-dir-SHA, whatever the folder is called
    config: Mapping[str, Any]  # as open_clip has it: embed_dim, vision_cfg, text_cfg
    preprocess: Mapping[str, Any] | None  # the folder's; None: as open_clip has it for the published weights
    file: ModelFile

    @property
    def dim(self) -> int:
        """Of its vectors."""
        return int(self.config["embed_dim"])

    @property
    def side_px(self) -> int:
        """Of the square that it sees."""
        return int(self.config["vision_cfg"].get("image_size", 224))

    @property
    def longest_text(self) -> int:
        """Tokens that it reads, but for its own marks."""
        return int(self.config["text_cfg"].get("context_length", 77)) - _MARKS

    @property
    def memory_bytes(self) -> int:
        """Of whoever loads it: torch, a batch, and the model twice; measured, 1.7 GB with the rest of a process."""
        sizes = [WEIGHTS[name].size_bytes for name in self.file.required()]
        return 400 * 1024**2 + 2 * (next(iter(sizes), None) or WEIGHTS["clip-ViT-B-32"].size_bytes or 0)

    def preprocessor(self) -> ClipPreprocessor:
        """What it was evaluated with."""
        import_open_clip()
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

        said = self.preprocess
        if said is None:
            from open_clip import get_pretrained_cfg

            said = get_pretrained_cfg(self.name, PRETRAINED[self.name])
        return ClipPreprocessor(self.side_px, merge_preprocess_dict(PreprocessCfg(), said))

    def load(self) -> Any:
        """open_clip's own module with its weights, on the CPU, in eval mode.

        Raises `WeightsError` of another architecture's file, `ConfigError` of one that this open_clip does not know.
        """
        from pixelbrain.modules.inference import load_state

        open_clip = import_open_clip()
        config: dict[str, Any] = copy.deepcopy(dict(self.config))
        kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
        config["vision_cfg"]["timm_model_pretrained"] = False  # or timm would ask its hub
        try:
            model = kind(**config)
        except (TypeError, RuntimeError, AssertionError) as error:
            raise ConfigError(f"open_clip cannot make the model {self.name}: {error}") from None
        load_state(model, self.file.path())
        return model.eval()

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts as the model reads them: int64 (n, 77), of most models.

        Raises `ConfigError` of a text without a word, or of more than the model reads.
        """
        read = _tokenizer(self.longest_text + _MARKS, **self.config["text_cfg"].get("tokenizer_kwargs", {}))
        for text in texts:
            if not (tokens := read.encode(text)):
                raise ConfigError(f"the text {text!r} is empty: write what the photo shows")
            if len(tokens) > self.longest_text:
                raise ConfigError(
                    f"a text of {len(tokens)} tokens is too long, {self.name} reads {self.longest_text}: shorten "
                    f"{text if len(text) <= 60 else f'{text[:57]}...'!r}"
                )
        return read(list(texts))

    def check_texts(self, texts: Sequence[str]) -> None:
        """As `tokens` raises; without importing anything where no text can be too long, as a token is a byte or more.

        What its tokenizer makes longer before it reads it, such as some capitals, is seen when it is read.
        """
        if any(not text.strip() or len(text.encode()) > self.longest_text for text in texts):
            self.tokens(texts)


def find_model(
    model: str, *, weights_dir: str | Path | None, weights_file: str | Path | None, offline: bool
) -> ClipModel:
    """The model of a name, or of a folder of the user's own; nothing is loaded.

    Raises `ConfigError`: neither, or its texts take another tokenizer than open_clip's; `MissingExtraError`;
    `WeightsError`.

    Args:
        model: one of `CLIP_MODELS`, or local-dir:DIR, with open_clip_config.json and open_clip_model.safetensors.
    """
    package = find_open_clip()
    if not model.startswith(CLIP_FOLDER):
        choose("the CLIP model", model, (*CLIP_MODELS, f"{CLIP_FOLDER}DIR"))
        config = _read(package / "model_configs" / f"{model}.json")
        file = ModelFile(f"clip-{model}", weights_dir=weights_dir, own=weights_file, offline=offline)
        return ClipModel(name=model, config=config, preprocess=None, file=file)
    if weights_file is not None:
        raise ConfigError(f"{model} has weights of its own, beside which there is no weights_file")
    folder = Path(model.removeprefix(CLIP_FOLDER)).expanduser().absolute()
    found = _read(folder / _CONFIG)
    config = found.get("model_cfg", found)
    try:
        text, _vision, _dim = config["text_cfg"], config["vision_cfg"], int(config["embed_dim"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{folder / _CONFIG} describes no model of open_clip") from None
    if "hf_model_name" in text or "hf_tokenizer_name" in text or "multimodal_cfg" in config:
        raise ConfigError(f"{model}: its texts take a tokenizer of transformers, and only open_clip's own is known")
    if not isinstance(config["vision_cfg"].get("image_size", 224), int):
        raise ConfigError(f"{model}: it sees pictures that are not square")
    said = found.get("preprocess_cfg", {})
    for key, known in _RESIZED.items():
        if said.get(key, known[0]) not in known:
            raise ConfigError(f"{model}: its {key} is {said[key]!r}, and only {' and '.join(known)} are known")
    weights = next((path for name in _WEIGHTS if (path := folder / name).is_file()), None)
    if weights is None:
        raise WeightsError(f"{folder} holds no {_WEIGHTS[0]}: take all of the model's files on Hugging Face")
    file = ModelFile("clip", own=weights)
    digest = hashlib.sha256((file.sha256() + json.dumps(found, sort_keys=True)).encode()).hexdigest()
    return ClipModel(
        name=f"{CLIP_FOLDER.removesuffix(':')}-{digest[:12]}",
        config=config,
        preprocess=said,
        file=file,
    )


def encode_texts(model: Any, tokens: torch.Tensor) -> np.ndarray:
    """What the model makes of texts: float32 (n, dim), each of length 1."""
    import torch

    with torch.inference_mode():
        parts = [model.encode_text(part, normalize=True).float() for part in tokens.split(_TEXTS_AT_ONCE)]
    return torch.cat(parts).cpu().numpy()


@functools.lru_cache(maxsize=4)
def _tokenizer(context_length: int, **settings: Any) -> Any:
    return import_open_clip().SimpleTokenizer(context_length=context_length, **settings)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} describes no model of open_clip")
    return found

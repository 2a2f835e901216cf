"""A very small CLIP model of open_clip's kind, in a folder as Hugging Face has them, with seeded weights: 12 MB."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

from pixelbrain.modules.words.open_clip import import_open_clip

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.25], "interpolation": "bicubic", "resize_mode": "shortest"}


def write_clip_folder(folder: Path, *, seed: int = 0, preprocess: dict[str, Any] | None = None, **config: Any) -> str:
    """Write it; returns the model's name, `local-dir:FOLDER`."""
    from safetensors.torch import save_file

    open_clip = import_open_clip()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**copy.deepcopy(CONFIG | config))
    said = {"model_cfg": CONFIG | config, "preprocess_cfg": PREPROCESS | (preprocess or {})}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"

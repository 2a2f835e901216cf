"""What every torch model here does: load a state dict safely, fold batch norms, pick the fastest exact-enough dtype."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pixelbrain.errors import ModuleError, WeightsError

ModelT = TypeVar("ModelT", bound=nn.Module)

_IMAGES_A_THREAD = 4


def load_state(model: nn.Module, path: Path, *, ignore: Sequence[str] = ()) -> None:
    """Load a file of weights into a model; every key and shape must fit.

    Raises `WeightsError`: not a state dict, or that of another architecture.

    Args:
        model: changed in place.
        path: a state dict saved by `torch.save`, read with `weights_only=True`, so that it can't run code; or
            .safetensors.
        ignore: prefixes of keys in the file that the model has no use for.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no state dict the unpickler raises whatever they make it do
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is not a file of weights: {reason}") from None
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__} instead of a state dict (torch.save it)")
    state = {key: value for key, value in state.items() if not str(key).startswith(tuple(ignore))}
    wanted = model.state_dict()
    unfit = {
        "lacks": sorted(wanted.keys() - state.keys()),
        "has unknown": sorted(map(str, state.keys() - wanted.keys())),
        "has other shapes of": sorted(
            key for key in wanted.keys() & state.keys() if getattr(state[key], "shape", None) != wanted[key].shape
        ),
    }
    problems = [f"{what} {_some(keys)}" for what, keys in unfit.items() if keys]
    if problems:
        raise WeightsError(f"{path} is not for a {type(model).__name__} like this one: it {'; '.join(problems)}")
    model.load_state_dict(state)


def fold_batch_norms(model: ModelT) -> ModelT:
    """Fold each batch norm into the convolution registered just before it, in place; the same function, in eval mode.

    A fifth to a half more images/s on a CPU (ResNet-50), and in bfloat16 more exact: the statistics are folded in
    float32 and rounded once. True of the models used here, which all apply what they register in that order.
    """
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(model.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            setattr(model, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(model, name, nn.Identity())
        else:
            fold_batch_norms(child)
        previous = (name, child)
    return model


def run_in_parts(model: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """(N, ...) through a model; on a CPU four images a thread at a time, whose numbers stay in its caches."""
    if values.device.type != "cpu":
        return model(values)
    return torch.cat([model(part) for part in values.split(_IMAGES_A_THREAD * torch.get_num_threads())])


def check_device(device: str) -> None:
    """Raises `ModuleError` for a device that is not there."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModuleError(f"device {device}: torch finds no CUDA GPU here; use --device cpu")


def choose_dtype(precision: str, device: str) -> torch.dtype:
    """The dtype to run a model in: float32 or bfloat16 by name, or for "auto" the fastest that the device can.

    bfloat16 on a device without units for it is emulated, and slower than float32.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.startswith("cuda"):
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16  # Ampere's tensor cores were the first with bfloat16
    return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    """AVX512-BF16 or AMX. oneDNN calls bfloat16 supported on any AVX512, where it is emulated."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # torch has no public question for these; an absent one is answered no
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check is not None)


def _some(keys: Sequence[str]) -> str:
    return f"{len(keys)} keys ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"

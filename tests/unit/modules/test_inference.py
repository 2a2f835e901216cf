"""What torch models here share: folded batch norms compute the same, and the dtype is one that the device has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pixelbrain.errors import ModuleError
from pixelbrain.modules import inference
from pixelbrain.modules.inference import check_device, choose_dtype, fold_batch_norms, run_in_parts


class Block(nn.Module):
    """A convolution and its norm, below others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.norm(self.conv(x)))


def test_folded_norms_compute_the_same():
    torch.manual_seed(0)
    model, x = Block(), torch.randn(5, 3, 8, 8)
    for _ in range(3):
        model(x)  # statistics of their own
    model.eval()
    with torch.inference_mode():
        before = model(x)
        folded = fold_batch_norms(model)
        assert torch.allclose(folded(x), before, atol=1e-5)
    left = [type(child) for child in folded.modules() if isinstance(child, nn.BatchNorm2d)]
    assert len(left) == 1  # the one that follows no convolution


def test_a_batch_goes_through_in_parts_and_comes_out_whole(monkeypatch):
    seen = []

    class Seeing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return x * 2

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    values = torch.arange(19.0)[:, None]
    assert torch.equal(run_in_parts(Seeing(), values), values * 2) and seen == [8, 8, 3]
    assert len(run_in_parts(Seeing(), values[:0])) == 0


def test_a_dtype_that_is_asked_for_is_taken_and_else_the_fastest(monkeypatch):
    assert choose_dtype("float32", "cpu") is torch.float32 and choose_dtype("bfloat16", "cpu") is torch.bfloat16
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(inference, "_cpu_multiplies_bfloat16", lambda has=has: has)
        assert choose_dtype("auto", "cpu") is dtype
    for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert choose_dtype("auto", "cuda") is dtype


def test_a_gpu_that_is_not_there_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_device("cpu")
    with pytest.raises(ModuleError, match="finds no CUDA GPU here; use --device cpu"):
        check_device("cuda")

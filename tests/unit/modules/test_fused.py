"""Convolutions that do what follows them: the same numbers in fewer steps, and nothing overwritten that is wanted."""

from __future__ import annotations

import platform

import pytest
import torch
from torch import nn

from pixelbrain.modules import fused
from pixelbrain.modules.fused import FusedConvolution, fuse_convolutions


class Net(nn.Module):
    """All that is fused, and sums that may not be: with what the convolution reads, or is wanted later, or came in."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros = nn.ZeroPad2d((0, 1, 2, 0))
        self.stem, self.relu6 = nn.Conv2d(8, 16, 3, stride=2, bias=False), nn.ReLU6()
        self.first, self.last, self.side = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)
        self.relu, self.dropout = nn.ReLU(inplace=True), nn.Dropout()
        self.around, self.shifted = nn.ZeroPad2d((2, 0, 1, 1)), nn.Conv2d(16, 16, 3)
        self.deep, self.wide = nn.Conv2d(16, 16, 5, padding=2, groups=16), nn.Conv2d(16, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu6(self.stem(self.zeros(x)))
        z = self.last(self.relu(self.first(y)))
        z = self.relu(z + self.side(y))  # into what `last` gave
        z = self.dropout(self.first(self.side(z))) + z  # without anything behind it
        z = self.relu(self.deep(z) + z)  # it reads what it would write to
        z = self.relu(self.shifted(self.around(z)) + z)  # as it does without the zeros
        z = self.relu6(self.first(self.side(z)) + z)  # which can only be a ReLU
        kept = self.relu(self.first(z))
        total = self.last(self.side(kept)) + kept  # kept is wanted below
        return self.wide(total * kept) + x[:, :, ::2, ::2]


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_the_same_numbers_in_fewer_steps(dtype: torch.dtype, near: float) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    x = torch.randn(3, 8, 20, 24)
    with torch.inference_mode():
        expected = net(x)
        model = fuse_convolutions(net.to(dtype, memory_format=torch.channels_last))
        values = x.to(dtype, memory_format=torch.channels_last)
        for some in (values, values[:1]):  # the first batch decides the weights' order, and the last one is smaller
            before = some.clone()
            torch.testing.assert_close(model(some).float(), expected[: len(some)], rtol=near, atol=near)
            assert torch.equal(some, before)
    if model is net:
        pytest.skip("torch has no such convolutions here")
    kinds = [type(module) for module in model.modules()]
    assert kinds.count(FusedConvolution) == 14
    assert not {nn.Conv2d, nn.ZeroPad2d, nn.Dropout} & set(kinds)
    assert str(model.graph).count("operator.add") == 4


def test_where_torch_cannot_the_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net().eval()

    def changed(*_: object) -> torch.Tensor:
        raise TypeError("another torch wants other arguments")

    with monkeypatch.context() as patch:
        patch.setattr(fused.FusedConvolution, "forward", changed)
        assert fuse_convolutions(net) is net
    with monkeypatch.context() as patch:  # or another one does something else
        patch.setattr(fused.FusedConvolution, "forward", lambda _, values, other: values[:, :, 1:-1, 1:-1] + other)
        assert fuse_convolutions(net) is net
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert fuse_convolutions(net) is net

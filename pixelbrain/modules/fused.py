"""Convolutions that do what follows them: on a CPU an activation, or a sum, is a pass over memory of its own."""

from __future__ import annotations

import operator
import platform
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

_SUMS = (operator.add, operator.iadd)
_NOTHING = (nn.Identity, nn.Dropout)  # in eval mode
#: What oneDNN does to each number that a convolution gives, and with which constants.
_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {nn.ReLU: ("relu", []), nn.ReLU6: ("hardtanh", [0, 6])}


def fuse_convolutions(model: nn.Module) -> nn.Module:
    """The same function, faster: each convolution with its weights in oneDNN's order, and with what follows it.

    That is a ReLU or a ReLU6, a sum with what was there before the block, or both; and the zeros put around what comes
    in. In bfloat16 it is a little more exact, as nothing is rounded in between.

    Args:
        model: of a fixed order of work, in eval mode, with batch norms folded, in its final number format and on its
            device. Its weights may go from it.

    Returns:
        The model itself on a GPU, and where torch has no such convolutions.
    """
    weight = next(model.parameters())
    if weight.device.type != "cpu" or not _is_here(weight.dtype):
        return model
    traced = fx.GraphModule(model, _ToConvolutions().trace(model))
    graph = traced.graph
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), _NOTHING):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in list(graph.nodes):
        if node.target is torch.conv2d:
            _fuse(traced, node)
    graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class FusedConvolution(nn.Module):
    """A convolution, then the sum with another tensor if one is given, then an activation if it has one."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        geometry: tuple[Any, Any, Any, int],
        activation: tuple[str, list[float]] | None,
    ) -> None:
        """`geometry` is stride, padding, dilation and groups, as of `torch.conv2d`."""
        super().__init__()
        stride, padding, dilation, groups = geometry
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()
        self._geometry = (list(padding), list(stride), list(dilation), groups)
        self._activation = activation
        self._ordered = False

    def forward(self, values: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """(N, in, H, W), and one of the result's shape that nobody needs any more, to (N, out, H', W').

        All in the channels_last memory format.
        """
        operators = torch.ops.mkldnn
        if not self._ordered:  # which order is fastest, oneDNN tells by the size of what comes in
            size = list(values.shape)
            self._weight = operators._reorder_convolution_weight(self._weight, *self._geometry, size)
            self._ordered = True
        name, constants = self._activation or (None, [])
        if other is None:
            how = (name or "none", constants, "")
            return operators._convolution_pointwise(values, self._weight, self._bias, *self._geometry, *how)
        # into the other one's memory, which is a tenth quicker than into new
        return operators._convolution_pointwise_.binary(
            other, values, self._weight, self._bias, *self._geometry, "add", 1.0, name, constants, ""
        )


class _ToConvolutions(fx.Tracer):
    """Looks into convolutions, too: those of EfficientNet pad by themselves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, nn.Conv2d) and super().is_leaf_module(m, module_qualified_name)


def _fuse(traced: fx.GraphModule, node: Any) -> None:
    """Put one convolution, and what follows it and nothing else, into a module of its own."""
    values, weight, bias, *geometry = node.args
    kernel: torch.Tensor = traced.get_parameter(weight.target)
    if values.op == "call_module" and isinstance(zeros := traced.get_submodule(values.target), nn.ZeroPad2d):
        values = values.args[0]
        kernel, geometry[1] = _pad(kernel, geometry[1], zeros.padding)
    last, other, activation = node, None, None
    following = _only_user(last)
    if following is not None and following.target in _SUMS:
        others = [part for part in following.args if part is not last and part is not values]
        if len(others) == 1 and _is_given_up(others[0], following):
            last, (other,) = following, others
            following = _only_user(last)
    if following is not None and following.op == "call_module":
        kind = type(traced.get_submodule(following.target))
        activation = _ACTIVATIONS.get(kind) if other is None or kind is nn.ReLU else None  # a sum has no other
        last = following if activation else last
    bias = None if bias is None else traced.get_parameter(bias.target)
    name = f"fused_{node.name}"
    traced.add_submodule(name, FusedConvolution(kernel, bias, tuple(geometry), activation))
    with traced.graph.inserting_before(last):
        fused = traced.graph.call_module(name, (values,) if other is None else (values, other))
    last.replace_all_uses_with(fused)


def _pad(kernel: torch.Tensor, padding: Sequence[int], zeros: Sequence[int]) -> tuple[torch.Tensor, tuple[int, int]]:
    """The kernel and the padding of a convolution before which zeros are put: (left, right, top, bottom).

    oneDNN pads both sides alike, and without a copy; where one has less, the kernel has zeros that lie on the rest.
    """
    left, right, top, bottom = zeros
    height, width = max(top, bottom), max(left, right)
    kernel = nn.functional.pad(kernel, (width - left, width - right, height - top, height - bottom))
    return kernel, (padding[0] + height, padding[1] + width)


def _is_given_up(part: Any, total: fx.Node) -> bool:
    """Whether a part of a sum is a tensor of its own, and nothing needs it after the sum."""
    order = {node: position for position, node in enumerate(total.graph.nodes)}
    made = isinstance(part, fx.Node) and part.op == "call_module"
    return made and all(order[user] <= order[total] for user in part.users)


def _only_user(node: fx.Node) -> Any:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_here(dtype: torch.dtype) -> bool:
    """Whether torch has these operators, which are private, and they do what is asked: tried on a small convolution."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False  # elsewhere nobody has tried
    seeded = torch.Generator().manual_seed(0)
    weight, values, other = (
        torch.randn(shape, generator=seeded).to(dtype, memory_format=torch.channels_last)
        for shape in ((8, 8, 3, 3), (1, 8, 6, 6), (1, 8, 4, 4))
    )
    expected = (torch.conv2d(values.float(), weight.float()) + other.float()).relu()
    try:
        convolution = FusedConvolution(weight, None, ((1, 1), (0, 0), (1, 1), 1), ("relu", []))
        return torch.allclose(convolution(values, other).float(), expected, atol=0.1, rtol=0.02)
    except (AttributeError, RuntimeError, TypeError):
        return False

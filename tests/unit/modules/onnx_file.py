"""A small ONNX model of an ArcFace model's inputs and outputs, written by hand: protobuf is a few lines of bytes.

The message numbers are those of onnx.proto3, which never change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Fields by their number: whole numbers, or text, bytes and other messages."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += _varint(number << 3 | 2) + _varint(len(data)) + data
    return found


def _value(name: str, shape: tuple[int | str, ...], kind: int = 1) -> bytes:
    sides = [(1, _message((1, side) if isinstance(side, int) else (2, side))) for side in shape]
    return _message((1, name), (2, _message((1, _message((1, kind), (2, _message(*sides)))))))


def _constant(name: str, array: np.ndarray) -> bytes:
    kind = {"float32": 1, "int64": 7}[str(array.dtype)]
    return _message(*((1, side) for side in array.shape), (2, kind), (8, name), (9, array.tobytes()))


def _node(op: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    return _message(*((1, one) for one in inputs), (2, output), (4, op), *((5, one) for one in attributes))


def write_onnx(
    path: Path,
    *,
    dim: int = 8,
    batch: int | str = "n",
    side: int = 112,
    channels: int = 3,
    kind: int = 1,
    flat: bool = False,
    nan: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """A model that takes means over squares of 28 px, and multiplies them with seeded weights, which are returned.

    Args:
        batch: a name, or so many faces and no others.
        kind: of the input's numbers; 1 is float32, 10 float16.
        flat: with one vector for all faces, however many, and so of a width that changes with them.
        nan: with vectors that are no numbers.
    """
    cells = channels * (side // 28) ** 2
    weights = np.random.default_rng(seed).standard_normal((cells, dim)).astype(np.float32)
    if nan:
        weights[0] = np.nan
    ints = [_varint(28)] * 2
    square = [_message((1, name), *((8, 28) for _ in ints), (20, 7)) for name in ("kernel_shape", "strides")]
    nodes = [
        _node("AveragePool", ["x"], "cells", *square),
        _node("Reshape", ["cells", "shape"], "rows"),
        _node("MatMul", ["rows", "weights"], "vectors"),
        _node("Reshape", ["vectors", "end"], "y"),
    ]
    constants = {"shape": np.array([-1, cells]), "weights": weights, "end": np.array([1, -1] if flat else [-1, dim])}
    graph = _message(
        *((1, node) for node in nodes),
        (2, "test"),
        *((5, _constant(name, array)) for name, array in constants.items()),
        (11, _value("x", (batch, channels, side, side), kind)),
        (12, _value("y", (1, "d") if flat else (batch, dim))),
    )
    path.write_bytes(_message((1, 8), (7, graph), (8, _message((1, ""), (2, 13)))))
    return weights

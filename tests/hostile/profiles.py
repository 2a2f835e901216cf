"""ICC profiles, written byte by byte from public numbers (ICC.1:2001-04): none is copied from a file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

__all__ = [
    "ADOBE_RGB", "BT_2020", "DISPLAY_P3", "adobe_to_srgb", "cmyk_profile", "grey_profile", "padded", "rgb_profile",
    "rgb_to_srgb",
]  # fmt: skip

#: x and y of the primaries: Adobe RGB (1998) section 4.3.1.1; SMPTE RP 431-2 for P3; ITU-R
#: BT.2020, table 3. All have the white point D65.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_D65 = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of ICC's connection space
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADOBE_GAMMA = 2 + 51 / 256  # Adobe RGB (1998) section 4.3.4.2


def rgb_profile(primaries: Sequence[tuple[float, float]], gamma: float = ADOBE_GAMMA) -> bytes:
    """A display's profile: three primaries, white D65, one gamma for all."""
    columns = _adapt_to_d50() @ _to_xyz(primaries)
    colours = {name: _xyz(columns[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curves = {name: _curve(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**colours, **curves})


def grey_profile(gamma: float) -> bytes:
    """A grey scanner's profile."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile(lightness: Callable[[tuple[int, int, int, int]], float]) -> bytes:
    """A press's profile whose inks are all neutral: `lightness`, 0 to 100, of each on-or-off combination of inks."""
    corners = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    table = b"".join(bytes([round(lightness(corner) * 255 / 100), 128, 128]) for corner in corners)
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    ramp = bytes(range(256))
    lut = b"mft1" + bytes([0, 0, 0, 0, 4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def padded(profile: bytes, size: int) -> bytes:
    """The same profile, of this many bytes."""
    return struct.pack(">I", size) + profile[4:] + bytes(size - len(profile))


def adobe_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """What Adobe RGB pixels are in sRGB."""
    return rgb_to_srgb(pixels, ADOBE_RGB, lambda levels: levels**ADOBE_GAMMA)


def rgb_to_srgb(
    pixels: np.ndarray,
    primaries: Sequence[tuple[float, float]],
    to_linear: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """What pixels are in sRGB (IEC 61966-2-1), by the formulas and not by littlecms.

    Args:
        pixels: uint8 (H, W, 3).
        primaries: theirs, with the white D65.
        to_linear: from levels of 0 to 1; that of sRGB by default.

    Returns:
        uint8 (H, W, 3); colours that sRGB does not have are clipped.
    """
    levels = pixels / 255
    linear = (
        to_linear(levels)
        if to_linear
        else np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    )
    linear = (linear @ (np.linalg.inv(_to_xyz(SRGB)) @ _to_xyz(primaries)).T).clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (curved * 255).round().astype(np.uint8)


def _to_xyz(primaries: Sequence[tuple[float, float]]) -> np.ndarray:
    """The matrix from linear RGB to XYZ under D65."""
    colours = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return colours * np.linalg.solve(colours, _white())


def _white() -> np.ndarray:
    x, y = _D65
    return np.array([x / y, 1, (1 - x - y) / y])


def _adapt_to_d50() -> np.ndarray:
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ _white()))
    return np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _text(kind: bytes, text: bytes) -> bytes:
    if kind == b"desc":  # ASCII, then empty Unicode and ScriptCode ones
        return kind + bytes(4) + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(8) + bytes(3) + bytes(67)
    return kind + bytes(4) + text + b"\0"


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _text(b"desc", b"made in a test"),
        b"cprt": _text(b"text", b"public domain"),
        b"wtpt": _xyz(_D50),
        **tags,
    }
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += signature + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4sIIIQI12s4s44s",
        offset + len(body), b"none", 0x02400000, device, space, connection,
        struct.pack(">6H", 2024, 1, 1, 0, 0, 0), b"acsp", b"none", 0, 0, 0, 0, 0,
        struct.pack(">3i", *(round(float(v) * 65536) for v in _D50)), b"none", bytes(44),
    )  # fmt: skip
    assert len(header) == 128
    return header + struct.pack(">I", len(tags)) + table + body

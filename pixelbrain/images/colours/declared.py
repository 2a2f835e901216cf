"""Which colours an image says that its pixels are, where it is no ICC profile that says it; and these in sRGB."""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pixelbrain.errors import DecodeError
from pixelbrain.images.containers import png_chunks, primary_properties
from pixelbrain.images.metadata import is_adobe_rgb

Chromaticity = tuple[float, float]  # CIE 1931 x and y

_D65: Chromaticity = (0.3127, 0.3290)
_C: Chromaticity = (0.310, 0.316)
_SRGB_PRIMARIES: tuple[Chromaticity, ...] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_RESERVED, _UNSPECIFIED = 0, 2
#: ITU-T H.273, table 2: red, green, blue and white, by ColourPrimaries.
_PRIMARIES: Mapping[int, tuple[Chromaticity, ...]] = {
    **dict.fromkeys((1, _RESERVED, _UNSPECIFIED), _SRGB_PRIMARIES),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),  # NTSC 1953
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),  # BT.601, 625 lines
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),  # BT.601, 525 lines
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),  # SMPTE 240M
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),  # film
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020, BT.2100
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),  # P3 of cinemas
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),  # Display P3
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),  # EBU Tech 3213
}
_ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
_ADOBE_GAMMA = 563 / 256

_SRGB, _PQ, _HLG = 13, 16, 18
#: ITU-R BT.2408: diffuse white of HDR, in cd/m2, which becomes the white of sRGB. What is brighter is clipped.
_WHITE_NITS = 203
#: ITU-R BT.2100, table 5: the display that HLG is graded for, and the exponent of its system gamma less 1.
_HLG_NITS, _HLG_GAMMA_LESS_1 = 1000, 0.2

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_STRIP_PIXELS = 1 << 16  # at once: it stays in the CPU's cache
_STEPS = 1 << 16  # of linear light: the darkest of 256 levels are 20 of them apart


@dataclass(frozen=True)
class Space:
    """Colours of an RGB image."""

    primaries: tuple[Chromaticity, ...]  # red, green, blue, white
    transfer: int | float  # TransferCharacteristics of ITU-T H.273; a float is an exponent
    narrow: bool = False  # black is 16, and white 235


def declared_colours(image: Image.Image, data: bytes) -> bytes | Space | None:
    """What an opened image says about its colours: an ICC profile, a declaration, or None for sRGB.

    PNG (third edition, section 4.3): cICP, then iCCP, sRGB, gAMA with cHRM. HEIC and AVIF: ICC, then nclx. Others: ICC.
    Where there is none of these, EXIF's mark of Adobe RGB (DCF 2.0, an interoperability index of R03). Raises
    `DecodeError` of a kind of colours that is not converted.
    """
    if image.format == "PNG":
        for kind, start, end in png_chunks(data):
            if kind == b"IDAT":
                break
            # samples are RGB: with another matrix than that, it is no valid chunk
            if (
                kind == b"cICP"
                and end - start == 4
                and data[start + 2] == 0
                and _says_something(*data[start : start + 2])
            ):
                return _of_cicp(data[start], data[start + 1], narrow=not data[start + 3])
    if profile := image.info.get("icc_profile"):
        return profile
    if image.format == "PNG":
        if "srgb" in image.info:
            return None
        if "gamma" in image.info or "chromaticity" in image.info:
            return _of_png(image.info.get("gamma"), image.info.get("chromaticity"))
    if image.format in ("AVIF", "HEIF"):
        for kind, content in primary_properties(data):
            if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
                declared = struct.unpack(">HH", content[4:8])
                if _says_something(*declared):
                    return _of_cicp(*declared)  # the decoders made full-range RGB of it
    return Space(_ADOBE_RGB, _ADOBE_GAMMA) if is_adobe_rgb(image, data) else None


def space_to_srgb(image: Image.Image, space: Space) -> Image.Image:
    """An RGB image of these colours in sRGB; what sRGB does not have is clipped, channel by channel."""
    tables, levels = _tables(space), _srgb_levels()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).split()
        added = [[np.asarray(one.point(t, "I")) for one, t in zip(strip, row, strict=True)] for row in tables]
        *colours, luminance = (red + green + blue for red, green, blue in added)
        if space.transfer == _HLG:  # from the scene's light to the display's
            system_gamma = (luminance / _STEPS) ** _HLG_GAMMA_LESS_1
            colours = [(one * system_gamma).astype(np.int32) for one in colours]
        pixels[top : top + rows] = np.stack([levels[one.clip(0, _STEPS)] for one in colours], axis=-1)
    return Image.fromarray(pixels)


def _says_something(primaries: int, transfer: int) -> bool:
    return not {primaries, transfer} <= {_RESERVED, _UNSPECIFIED}


def _of_cicp(primaries: int, transfer: int, *, narrow: bool = False) -> Space | None:
    """Of ITU-T H.273; what of the two says nothing is that of sRGB."""
    if transfer in (_RESERVED, _UNSPECIFIED):
        transfer = _SRGB
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        raise DecodeError(f"colours that are not converted: CICP primaries {primaries}, transfer {transfer}")
    space = Space(_PRIMARIES[primaries], transfer, narrow)
    return None if space == Space(_SRGB_PRIMARIES, _SRGB) else space


def _of_png(gamma: float | None, chromaticity: tuple[float, ...] | None) -> Space | None:
    """What gAMA and cHRM say. 0.45455 is what one writes for sRGB (PNG, section 13.14); None: that, or nonsense."""
    transfer = _SRGB if gamma is None or abs(gamma - 1 / 2.2) < 0.005 else 1 / gamma if gamma > 0 else 0
    primaries = _SRGB_PRIMARIES
    if chromaticity is not None:
        white, *colours = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        if np.abs(np.subtract([*colours, white], _SRGB_PRIMARIES)).max() > 0.002:  # of its roundings
            primaries = (*colours, white)
    space = Space(primaries, transfer)
    if space == Space(_SRGB_PRIMARIES, _SRGB) or not 0.2 <= transfer <= 20:
        return None
    with contextlib.suppress(np.linalg.LinAlgError, ZeroDivisionError):
        return space if np.abs(_matrices(space)).max() < 100 else None
    return None


def _matrices(space: Space) -> np.ndarray:
    """(4, 3): from linear RGB to linear sRGB, and, in the last row, to luminance."""
    to_xyz = _to_xyz(space.primaries)
    white = np.diag((_BRADFORD @ _xyz(_D65)) / (_BRADFORD @ _xyz(space.primaries[3])))
    to_d65 = np.linalg.solve(_BRADFORD, white @ _BRADFORD @ to_xyz)
    return np.vstack([np.linalg.solve(_to_xyz(_SRGB_PRIMARIES), to_d65), to_xyz[1]])


@functools.lru_cache(maxsize=64)
def _tables(space: Space) -> list[list[list[int]]]:
    """For red, green, blue of sRGB, and luminance: what each level of each of the three channels adds, in `_STEPS`."""
    samples = ((np.arange(256) - 16) / 219).clip(0, 1) if space.narrow else np.arange(256) / 255
    linear = samples**space.transfer if isinstance(space.transfer, float) else _TRANSFERS[space.transfer](samples)
    return (_matrices(space)[..., None] * linear * _STEPS).round().astype(int).tolist()


@functools.cache
def _srgb_levels() -> np.ndarray:
    """uint8: the level of each of `_STEPS` + 1 of linear light (IEC 61966-2-1)."""
    linear = np.arange(_STEPS + 1) / _STEPS
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (levels * 255).round().astype(np.uint8)


def _to_xyz(primaries: tuple[Chromaticity, ...]) -> np.ndarray:
    """The matrix from linear RGB, whose white is 1, to XYZ (SMPTE RP 177)."""
    colours = np.array([_xyz(one) for one in primaries[:3]]).T
    return colours * np.linalg.solve(colours, _xyz(primaries[3]))


def _xyz(chromaticity: Chromaticity) -> np.ndarray:
    x, y = chromaticity
    return np.array([x / y, 1, (1 - x - y) / y])


def _from_srgb(levels: np.ndarray) -> np.ndarray:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _from_240m(levels: np.ndarray) -> np.ndarray:
    return np.where(levels < 0.0913, levels / 4, ((levels + 0.1115) / 1.1115) ** (1 / 0.45))


def _from_pq(levels: np.ndarray) -> np.ndarray:
    """BT.2100, table 4: 1 is 10,000 cd/m2."""
    power = levels ** (1 / 78.84375)
    nits = 10_000 * ((power - 0.8359375).clip(0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    return nits / _WHITE_NITS


def _from_hlg(levels: np.ndarray) -> np.ndarray:
    """BT.2100, table 5, of the scene; scaled so that the display's white is right after the system gamma."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - c) / a) + b) / 12)
    return scene * (_HLG_NITS / _WHITE_NITS) ** (1 / (1 + _HLG_GAMMA_LESS_1))


def _power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda levels: levels**exponent


#: ITU-T H.273, table 3, by TransferCharacteristics: from the level, 0 to 1, to the display's light, where 1 is white.
_TRANSFERS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _power(2.4)),  # BT.709 and BT.2020, as BT.1886 says that they are displayed
    4: _power(2.2),
    5: _power(2.8),
    7: _from_240m,
    8: _power(1.0),
    9: lambda levels: np.where(levels > 0, 10 ** (2 * (levels - 1)), 0),
    10: lambda levels: np.where(levels > 0, 10 ** (2.5 * (levels - 1)), 0),
    _SRGB: _from_srgb,
    _PQ: _from_pq,
    17: lambda levels: levels**2.6 * (52.37 / 48),  # SMPTE ST 428-1
    _HLG: _from_hlg,
}

"""What a photo's card says of its camera, out of the column of the module exif."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any


def camera_values(exif: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of each line: when, with what, how, where, and what people said; what is null is left out."""
    if (taken := exif.get("taken_at")) is not None:
        yield "Taken", f"{taken:%Y-%m-%d %H:%M:%S}{_offset(exif.get('utc_offset_minutes'))}"
    camera = camera_name(exif.get("make"), exif.get("model")) or ""
    lines = {
        "Camera": ", ".join(filter(None, (camera, exif.get("lens")))),
        "Exposure": ", ".join(exposure(exif)),
        "Rating": "" if exif.get("rating") is None else f"{exif['rating']} of 5",
        "Location": _place(exif),
        "Keywords": ", ".join(exif.get("keywords") or ()),
        "Title": exif.get("title") or "",
        "Description": exif.get("description") or "",
    }
    yield from ((name, text) for name, text in lines.items() if text)


@functools.lru_cache(maxsize=1024)
def camera_name(make: str | None, model: str | None) -> str | None:
    """What a camera is called: most makers begin the model's name with theirs. None: nobody knows."""
    make, model = make or "", model or ""
    if model and model.lower().startswith(make.lower().split(" ")[0]):
        return model
    return f"{make} {model}".strip() or None


def _offset(minutes: int | None) -> str:
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f" {'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def exposure(exif: Mapping[str, Any]) -> Iterator[str]:
    """As photographers write it: 1/250 s, f/2.8, ISO 400, 35 mm."""
    if seconds := exif.get("exposure_s"):
        # as cameras show it: a third of a second and less as a part of one
        yield f"1/{1 / seconds:.0f} s" if seconds <= 0.3 else f"{seconds:.3g} s"
    if exif.get("f_number"):
        yield f"f/{exif['f_number']:.3g}"
    if exif.get("iso"):
        yield f"ISO {exif['iso']}"
    if exif.get("focal_length_mm"):
        wide = f" ({exif['focal_length_35mm']:.3g} mm on 35 mm)" if exif.get("focal_length_35mm") else ""
        yield f"{exif['focal_length_mm']:.3g} mm{wide}"
    if exif.get("flash"):
        yield "flash"


def _place(exif: Mapping[str, Any]) -> str:
    """As maps take it."""
    if exif.get("latitude") is None or exif.get("longitude") is None:
        return ""
    height = "" if exif.get("altitude_m") is None else f", {exif['altitude_m']:.0f} m"
    return f"{exif['latitude']:.5f}, {exif['longitude']:.5f}{height}"

"""A page of face crops beside what is asked about them: one file that opens from disk, without a network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import LandingError
from pixelbrain.landing.landing import Landing
from pixelbrain.report.gallery.names import visible

_BOX = [field.name for field in schema.BOX_FIELDS]
_STYLE = "body{font:15px system-ui;margin:2em}img{height:112px;margin:2px;border-radius:4px}li{margin:1.5em 0}"


def write_crops(landing: Landing, items: Sequence[tuple[str, Sequence[str]]], faces: pa.Table, folder: str) -> Path:
    """Write `folder`/index.html: each item's text, and the crops of its faces that extract landed.

    Args:
        landing: whose `OUT/thumbnails` has the pictures.
        items: a text and face_ids each.
        faces: rows of `schema.IDENTITY_SCHEMA`, that say where each face is.
        folder: made if it is not there.

    Returns:
        The page.

    Raises:
        LandingError: OUT cannot be read, or the page cannot be written.
    """
    wanted = pa.array(sorted({face for _text, ids in items for face in ids}), pa.string())
    some = faces.filter(pc.is_in(faces["face_id"], value_set=wanted)).select(["face_id", "image_id", *_BOX]).to_pylist()
    pictures = _pictures(landing, {row["face_id"]: (row["image_id"], [row[name] for name in _BOX]) for row in some})
    lines = []
    for text, ids in items:
        crops = "".join(_image(face, pictures.get(face)) for face in ids)
        lines.append(f"<li><p><code>{html.escape(visible(text))}</code></p>{crops}</li>")
    page = f"<!doctype html><meta charset=utf-8><title>People</title><style>{_STYLE}</style><ol>{''.join(lines)}</ol>\n"
    path = Path(folder).absolute() / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise LandingError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _pictures(landing: Landing, where: dict[str, tuple[str, list[float]]]) -> dict[str, bytes]:
    """face_id -> JPEG of those that landed."""
    images = pa.array(sorted({image for image, _box in where.values()}), pa.string())
    known: dict[str, list[tuple[str, list[float]]]] = {}
    for face, (image, box) in where.items():
        known.setdefault(image, []).append((face, box))
    found: dict[str, bytes] = {}
    for name in landing.storage.names(schema.PICTURES):
        with landing.storage.open_parquet(f"{schema.PICTURES}/{name}") as file:
            table = file.read(columns=["image_id", "box"])
            rows = pc.and_(pc.is_in(table["image_id"], value_set=images), pc.is_valid(table["box"]))
            if not pc.any(rows).as_py():
                continue
            table = file.read(columns=["image_id", "box", "picture"]).filter(rows)
        for row in table.to_pylist():
            for face, box in known[row["image_id"]]:
                if np.allclose(box, row["box"], atol=0.1):
                    found[face] = row["picture"]
    return found


def _image(face: str, picture: bytes | None) -> str:
    title = html.escape(visible(face), quote=True)
    if picture is None:
        return f'<img alt="{title}" title="{title}">'
    return f'<img alt="" title="{title}" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'

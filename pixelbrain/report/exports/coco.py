"""Images, faces and people as one JSON of the COCO format, as pycocotools, FiftyOne and Label Studio read it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.report.exports.contents import Contents, iter_contents
from pixelbrain.storage.base import Storage
from pixelbrain.storage.file_uri import shown_path

#: What a face's landmarks are, in their order; left is left in the picture.
KEYPOINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
#: The category of faces that are nobody's, and what all categories are kinds of.
FACE = "face"

_BOX = [field.name for field in schema.BOX_FIELDS]
#: Of a face, what its annotation has besides: attributes of its detection in FiftyOne.
_ATTRIBUTES = ("face_id", "identity_id", "name", "assigned", "distance", "sharpness")


def write_coco(
    landing: Landing,
    storage: Storage,
    file: str,
    *,
    root: str | None = None,
    min_label_score: float | None = None,
    images: pa.ChunkedArray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, str]:
    """Write OUT as a COCO data set to one file, which is complete or absent.

    images: all of them, also those that failed, without annotations: id, file_name, width and height (of the upright
    photo; 0 where it failed), date_captured, and besides `uri`, `status`, `error`, `tags` (its label, where it is
    likely enough), `labels` (the best, with scores), `answers`, `group_id`. annotations: the faces: bbox and keypoints
    in pixels of the upright photo, score, and besides face_id, identity_id, name, assigned, distance, sharpness, and
    `<module>_<field>` of modules that look at faces.
    categories: `face` first, of faces that are nobody's; then each person, by identity_id: the name, or the identity_id
    where nobody named them. Two people of one name have their ids behind it.

    Ids are numbers: of an image, made of its `uri`, and the same in every export; of an annotation, its place in the
    file. The same OUT gives the same bytes. Memory: a batch of images, and OUT's people.

    Args:
        storage, file: where, and under which name.
        root: a folder or s3:// prefix that file names are relative to, where the photo is below it; by default the
            deepest folder that holds all photos that are on disk. Others are named by path or URI.
        images: the ids of those that are meant; all by default.

    Returns:
        Images written, and what file names are relative to; "" where to nothing.

    Raises:
        LandingError: the landed tables cannot be read, or the file cannot be written.
        ConfigError: `min_label_score` is no probability.
    """
    root = _common_folder(landing) if root is None else root.rstrip("/")
    categories = _categories(landing)
    of = {one.get("identity_id"): one["id"] for one in categories}
    written, total = 0, landing.count_images() if images is None else len(images)

    def fill(target: IO[bytes]) -> None:
        nonlocal written
        n_faces = written = 0
        with tempfile.TemporaryFile() as annotations:  # they come after the images, and are as many as they are
            head = {"info": _info(root), "licenses": [], "categories": categories}
            target.write(_json(head)[:-1] + b',\n"images": [')
            for one in iter_contents(landing, min_label_score, images):
                target.write((b",\n" if written else b"\n") + _json(_image(one, root)))
                written += 1
                for face in one.faces:
                    if (found := _annotation(face, n_faces + 1, one.number, of)) is not None:
                        annotations.write((b",\n" if n_faces else b"\n") + _json(found))
                        n_faces += 1
                if progress is not None:
                    progress(written, total)
            target.write(b'\n],\n"annotations": [')
            annotations.seek(0)
            shutil.copyfileobj(annotations, target)
            target.write(b"\n]}\n")

    storage.write_with(file, fill)
    return written, root


def _info(root: str) -> dict[str, Any]:
    return {
        "description": "Faces and people, found by Pixelbrain; left_eye is the one on the left of the picture",
        "version": importlib.metadata.version("pixelbrain"),
        "root": root,
    }


def _image(one: Contents, root: str) -> dict[str, Any]:
    base, best = one.base, one.fields.get("resnet") or {}
    found = {
        "id": one.number,
        "file_name": one.path[len(root) + 1 :] if root and one.path.startswith(f"{root}/") else one.path,
        "width": base["width"] or 0,
        "height": base["height"] or 0,
        "date_captured": base["taken_at"] or "",
        "uri": base["image_id"],
        "status": base["status"],
        "tags": [] if one.label is None else [one.label],
    }
    more = {"error": base["error"], "labels": best.get("top_k"), "answers": one.answers, "group_id": one.group_id}
    return found | {name: value for name, value in more.items() if value}


def _annotation(face: dict[str, Any], number: int, image: int, of: dict[str | None, int]) -> dict[str, Any] | None:
    """A face; None where its box is none."""
    if any(face[name] is None for name in _BOX):
        return None
    x1, y1, x2, y2 = (face[name] for name in _BOX)
    width, height = (round(max(0.0, to - start), 3) for start, to in ((x1, x2), (y1, y2)))
    points = face.get("landmarks") or []
    seen = len(points) == 2 * len(KEYPOINTS) and None not in points
    keypoints = [value for x, y in zip(points[::2], points[1::2], strict=True) for value in (x, y, 2)] if seen else []
    return {
        "id": number,
        "image_id": image,
        "category_id": of.get(face["identity_id"], of[None]),
        "bbox": [x1, y1, width, height],
        "area": round(width * height, 3),
        "iscrowd": 0,
        "keypoints": keypoints or [0] * 3 * len(KEYPOINTS),
        "num_keypoints": len(KEYPOINTS) if seen else 0,
        "score": face["score"],
        **{name: face[name] for name in _ATTRIBUTES if face.get(name) is not None},
        **{
            f"{module}_{field}": value  # with a dot it could be no attribute of FiftyOne's
            for module, said in face.items()
            if isinstance(said, dict)
            for field, value in said.items()
            if isinstance(value, str | bool | int | float)
        },
    }


def _categories(landing: Landing) -> list[dict[str, Any]]:
    """Faces of nobody, and each person who has faces now."""
    people, registry = IDENTITIES.read(landing).rows, read_registry(landing.storage)
    ids = [] if people is None else sorted(pc.unique(people["identity_id"]).drop_null().to_pylist())
    called = [registry.names.get(who) or who for who in ids]
    count = Counter([FACE, *called])
    names = [name if count[name] == 1 else f"{name} ({who})" for name, who in zip(called, ids, strict=True)]
    points = {"keypoints": [*KEYPOINTS], "skeleton": []}
    persons = [
        {"id": number, "name": name, "supercategory": "person", **points, "identity_id": who}
        for number, (name, who) in enumerate(zip(names, ids, strict=True), 2)
    ]
    return [{"id": 1, "name": FACE, "supercategory": FACE, **points}, *persons]


def _common_folder(landing: Landing) -> str:
    """The deepest folder that holds all photos that are on disk; "" where that is / or there are none."""
    paths = (shown_path(one) for one in landing.index.image_id.to_pylist())
    folders = {os.path.dirname(path) for path in paths if path.startswith("/")}
    return os.path.commonpath(folders).rstrip("/") if folders else ""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()

"""An OUT of a few photos with faces whose vectors are known, and a search for them in whatever is left on a disk."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.storage.base import Storage

Box = tuple[float, float, float, float]

DIM = 16
LONGEST = DIM * 8  # bytes of a vector as doubles
#: Ann is in two photos and a copy of one, Bob beside her; `old` is what was in place of b.jpg before.
ANN_A, ANN_B, BOB_A, EVE_A = (100.0, 80, 180, 190), (40.0, 50, 140, 180), (210.0, 85, 290, 195), (400.0, 90, 470, 190)
PHOTOS: dict[str, Sequence[Box]] = {
    "a.jpg": (ANN_A, BOB_A, EVE_A),
    "b.jpg": (ANN_B,),
    "copy of a.jpg": (ANN_A, BOB_A, EVE_A),
}
BYTES = {"copy of a.jpg": "a.jpg"}
MODELS = {
    name: ModuleState(settings={}, model=schema.ModelInfo(model=model, weights_sha256="0" * 64, dim=DIM))
    for name, model in (("facenet", "dlib"), ("resnet", "resnet18"))
}


def image_id(name: str) -> str:
    """Of a photo."""
    return f"file:///photos/{name}"


def sha256(name: str) -> str:
    """Of a photo's bytes."""
    return hashlib.sha256(BYTES.get(name, name).encode()).hexdigest()


def vector(name: str, box: Box | None = None) -> np.ndarray:
    """float32 (DIM,): of a face, or of a whole photo; no other one has the same bytes."""
    found = np.random.default_rng([*sha256(name).encode(), *map(int, box or ())]).normal(size=DIM)
    return (found / np.linalg.norm(found)).astype(np.float32)


def landmarks(box: Box) -> list[float]:
    """Ten numbers that no other face has."""
    return np.random.default_rng([*map(int, box)]).uniform(box[0], box[2], 10).astype(np.float32).tolist()


def rows_of(photos: Mapping[str, Sequence[Box]], *, version: str = "1", shift: float = 0) -> pa.Table:
    """Rows of `images`."""
    rows: list[dict[str, Any]] = []
    for name, boxes in photos.items():
        faces = [
            {"face_id": schema.face_id(image_id(name), at), "score": 0.999, "sharpness": 900.0}
            | dict(zip(("x1", "y1", "x2", "y2"), (value + shift for value in box), strict=True))
            | {"embedding": vector(name, box), "landmarks": landmarks(box)}
            for at, box in enumerate(boxes)
        ]
        base = {"image_id": image_id(name), "version": version, "sha256": sha256(name), "status": "ok"}
        base |= {"width": 640, "height": 480, "format": "JPEG", "size_bytes": 9}
        label = {"label": "tabby", "label_score": 0.9, "top_k": [], "embedding": vector(name)}
        rows.append(base | {"facenet": {"n_faces": len(faces), "faces": faces}, "resnet": label})
    fields = {"facenet": schema.faces_fields(DIM), "resnet": schema.classifier_fields(DIM)}
    columns = [pa.field(name, schema.module_struct(found)) for name, found in fields.items()]
    return pa.Table.from_pylist(rows, pa.schema([*schema.BASE_FIELDS, *columns]))


def land(
    out: Path | str | Storage, photos: Mapping[str, Sequence[Box]] = PHOTOS, *, pictures: bool = True, **rows: Any
) -> Landing:
    """Land them, as a run does, with crops of the faces."""
    landing = Landing(out)
    where = {"generation": claim_generation(landing.storage), "block": 0, "piece": 0}
    table = rows_of(photos, **rows)
    if pictures:
        crops = [
            {**{name: row[name] for name in ("image_id", "version")}, "box": box, "picture": crop(row["image_id"], box)}
            for row in table.select(["image_id", "version", "facenet"]).to_pylist()
            for box in [None, *([face[one] for one in ("x1", "y1", "x2", "y2")] for face in row["facenet"]["faces"])]
        ]
        landing.write_pictures(pa.Table.from_pylist(crops, schema.PICTURE_SCHEMA), table, **where)
    landing.write_part(table, **where, modules=MODELS)
    landing.refresh()
    return landing


def crop(of: str, box: Sequence[float] | None) -> bytes:
    """What stands for a picture: it names what it shows."""
    return f"picture of {of} {[*map(int, box)] if box else 'whole'}".encode()


def identify(landing: Landing) -> None:
    """Say who is who: Ann, Bob, and Eve, who is nobody."""
    people = {"#0": "person-a11", "#1": "person-b22"}
    faces = [face for row in rows_of(PHOTOS).to_pylist() for face in row["facenet"]["faces"]]
    table = pa.table(
        {
            "face_id": [face["face_id"] for face in faces],
            "image_id": [face["face_id"].rpartition("#")[0] for face in faces],
            "identity_id": [people.get(face["face_id"][-2:]) for face in faces],
            "distance": pa.array([0.1] * len(faces), pa.float32()),
            "assigned": ["clustered"] * len(faces),
        }
    )
    IDENTITIES.write(landing, table)


def set_aside(landing: Landing) -> None:
    """What a power loss and a kill leave: half a part file, one that was set aside, and a temporary one."""
    whole = (landing.storage.local / landing.parts[-1].name).read_bytes()
    for name in ("images/part-000009-00000000-000.parquet", "broken/part-000008-00000000-000.parquet"):
        landing.storage.write(name, whole[: len(whole) // 2])
    (landing.storage.local / "images" / ".part-000009-00000001-000.parquet.1-aa.tmp").write_bytes(whole)


def traces(name: str, box: Box) -> dict[str, bytes]:
    """What is left of a face if anything is, by what it is."""
    return {
        "vector": vector(name, box).tobytes(),
        "vector as doubles": struct.pack(f"<{DIM}d", *vector(name, box).tolist()),
        "landmarks": np.array(landmarks(box), np.float32).tobytes(),
        "landmarks as doubles": struct.pack("<2d", *landmarks(box)[:2]),
        "crop": crop(image_id(name), box),
    }


#: What is left of Ann if anything is.
ANN = {
    f"{what} of {name}": one
    for name, box in (("a.jpg", ANN_A), ("b.jpg", ANN_B))
    for what, one in traces(name, box).items()
}


def photo_traces(name: str) -> dict[str, bytes]:
    """The same of a photo."""
    return {"vector": vector(name).tobytes(), "thumbnail": crop(image_id(name), None), "name": image_id(name).encode()}


def bytes_of(files: Iterable[Path]) -> dict[str, bytes]:
    """By file, its bytes; of Parquet also what they are when they are read, as pages are compressed.

    Of the zeros that a file ends with, as MongoDB's journal does for 50 MB, as many as belong to what is looked for.
    """
    found = {}
    for file in files:
        if not file.is_file():
            continue
        found[str(file)] = file.read_bytes().rstrip(b"\0") + bytes(LONGEST)
        if file.suffix == ".parquet":
            with contextlib.suppress(pa.ArrowInvalid):  # half a file
                found[str(file)] += plain(file)
    return found


def plain(file: Path) -> bytes:
    """The values of a Parquet file, one column after another."""
    table = pq.read_table(file, partitioning=None).combine_chunks()
    return b"".join(_buffers(chunk) for column in table.columns for chunk in column.chunks)


def _buffers(array: pa.Array) -> bytes:
    return b"".join(bytes(one) for one in array.buffers() if one is not None)


def left_of(folder: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """Which of these bytes are in any file below a folder, and where."""
    return [
        f"{what} in {name}"
        for name, data in bytes_of(folder.rglob("*")).items()
        for what, one in wanted.items()
        if one in data
    ]

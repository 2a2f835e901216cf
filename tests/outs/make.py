"""Write a small OUT as this version of Pixelbrain does: `uv run python tests/outs/make.py tests/outs/format-2`.

Run it once for each format, when it is new, and keep what it wrote: later versions have to read it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.landing.answers.log import AnswerLog, AnswerMemory
from pixelbrain.landing.derived import GROUPS, IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.record import write_stage

DIM = 4
STATES = {
    name: ModuleState(settings={"top_k": 2}, model=schema.ModelInfo(model=name, weights_sha256="0" * 64, dim=DIM))
    for name in ("resnet", "facenet")
}
BASE = pa.schema(schema.BASE_FIELDS)


def image(number: int) -> dict[str, Any]:
    """A photo with as many faces as its number."""
    name = f"s3://photos/{number}.jpg"
    faces = [
        {"face_id": schema.face_id(name, i), "x1": 10 * i, "y1": 5, "x2": 10 * i + 8, "y2": 15, "landmarks": [1] * 10}
        | {"score": 0.99, "sharpness": 50, "embedding": [1, 0, 0, i]}
        for i in range(number)
    ]
    label = {
        "label": "tabby",
        "label_score": 0.9,
        "top_k": [{"label": "tabby", "score": 0.9}],
        "embedding": [number] * 4,
    }
    row = {"image_id": name, "version": "1", "size_bytes": 1000 + number, "sha256": f"{number}" * 64, "format": "JPEG"}
    row |= {"width": 640, "height": 480, "status": "ok", "taken_at": "2024-05-01T12:00:00+02:00"}
    return row | {"resnet": label, "facenet": {"n_faces": number, "faces": faces}}


def main(out: str) -> None:
    """An image that failed at first, one that changed, two people, a group and an answer."""
    landing = Landing(out)
    columns = {"resnet": schema.classifier_fields(DIM), "facenet": schema.faces_fields(DIM)}
    table = pa.schema([*BASE, *((name, schema.module_struct(fields)) for name, fields in columns.items())])

    def land(*rows: dict[str, Any]) -> None:
        generation = claim_generation(landing.storage)
        found = pa.Table.from_pylist(list(rows), table)
        landing.write_part(found, generation=generation, block=0, piece=0, modules=STATES)
        landing.refresh()

    error = {"error_type": "ModuleError", "error": "out of luck"}
    failed = {"image_id": "s3://photos/broken.jpg", "version": "1", "status": "failed", "error_type": "DecodeError"}
    nothing = {"resnet": {"label": "", "embedding": [0] * DIM}, "facenet": error}
    land(image(0), image(1), image(2) | {"facenet": error}, failed | nothing)
    land(image(2), image(3) | {"version": "2"})
    people = [
        {"face_id": f"s3://photos/{n}.jpg#0", "image_id": f"s3://photos/{n}.jpg", "identity_id": f"person-{n}"}
        | {"distance": 0.1, "assigned": "clustered"}
        for n in (1, 2)
    ]
    IDENTITIES.write(landing, pa.Table.from_pylist(people, schema.IDENTITY_SCHEMA))
    groups = [{"image_id": f"s3://photos/{n}.jpg", "group_id": "group-1", "distance": 0.2} for n in (0, 1)]
    GROUPS.write(landing, pa.Table.from_pylist(groups, schema.GROUP_SCHEMA))
    log = AnswerLog(landing.storage)
    memory = AnswerMemory(log, "one", {"is_cat": pa.bool_()}, {"is_cat": "q1"})
    answer = {"image_id": "s3://photos/0.jpg", "version": "1", "field": "is_cat", "question": "q1", "key": "k"}
    memory.journal(answer | {"status": "ok", "cost_usd": "0.001", "answer": True, "remembered": False})
    memory.close()
    log.fold()
    write_stage(out, "extract", {"done": 5}, settings={"source": "s3://photos"})
    try:
        from pixelbrain.landing.published import publish
    except ImportError:  # format 1, for which this file was copied into an older version
        return
    publish(Landing(out))


if __name__ == "__main__":
    if Path(sys.argv[1]).exists():
        raise SystemExit(f"{sys.argv[1]} is there: what was written stays as it is")
    main(sys.argv[1])

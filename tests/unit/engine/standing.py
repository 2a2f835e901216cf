"""Modules that stand on others, and runs of them in this process, in both layouts: no Ray, no weights, no child."""

from __future__ import annotations

import contextlib
import ctypes
from collections import Counter

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.config import Placement
from pixelbrain.engine.extract import extract
from pixelbrain.engine.plan.nodes import Node
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import blocks
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.faces.module import FaceModule

LAYOUTS = ("fused", "staged")
LOOKED: set[tuple[str, str]] = set()  # which module looked at which photo


class Finder(PipelineModule):
    """In place of facenet: as many faces as the photo's width says, its tens; fails on photos 61 pixels wide."""

    name = "facenet"
    resources = Resources(batch_size=2)

    def __init__(self, left: int = 0) -> None:
        self.left = left

    def fields(self):
        return schema.faces_fields(4)

    def settings(self):
        return {"left": self.left}

    def process(self, image):
        LOOKED.add((self.name, image.image_id))
        if image.width == 61:
            raise RuntimeError("61 is not a width")
        faces = [
            {
                "face_id": schema.face_id(image.image_id, n),
                **dict(zip(("x1", "y1", "x2", "y2"), (self.left + n, 1.0, self.left + n + 8, 9.0), strict=True)),
                "landmarks": np.array([2, 3, 6, 3, 4, 5, 3, 7, 5, 7], np.float32) + n,
                "embedding": np.full(4, n, np.float32),
            }
            for n in range(image.width // 10 - 1)
        ]
        return {"n_faces": len(faces), "turn": 0, "faces": faces}


class Detector(Finder):
    """A user's own."""

    name = "detector"


class Folder(PipelineModule):
    """By its name, and not by its bytes."""

    name = "folder"
    by_name = True

    def fields(self):
        return [pa.field("called", pa.string())]

    def process(self, image):
        LOOKED.add((self.name, image.image_id))
        return {"called": image.image_id.rpartition("/")[2]}


class Loud(PipelineModule):
    """Stands on it."""

    name = "loud"
    requires = ["called"]

    def fields(self):
        return [pa.field("called", pa.string())]

    def process(self, image, called):
        LOOKED.add((self.name, image.image_id))
        return {"called": called["called"].upper()}


class Bright(FaceModule):
    """How bright each face is, a vector, and where it stands."""

    name = "bright"

    def face_fields(self):
        return [
            pa.field("mean", pa.float32()), pa.field("warm", pa.bool_()),
            pa.field("look", pa.list_(pa.float32(), 2)),
        ]  # fmt: skip

    def process_faces(self, image, crops, faces):
        LOOKED.add((self.name, image.image_id))
        assert crops.shape == (len(faces), 112, 112, 3) and crops.dtype == np.uint8
        return [
            {"mean": crop.mean(), "warm": crop[..., 0].mean() > crop[..., 2].mean(), "look": [face["x1"], 1]}
            for crop, face in zip(crops, faces, strict=True)
        ]


class Fragile(Bright):
    """Ends its process on photos 38 pixels wide."""

    def process_faces(self, image, crops, faces):
        if image.width == 38:
            ctypes.string_at(0)
        return super().process_faces(image, crops, faces)


class Above(PipelineModule):
    """Stands on what stands on others: how many bright faces a photo has."""

    name = "above"
    requires = ("bright", "n_faces")

    def fields(self):
        return [pa.field("share", pa.float32())]

    def process(self, image, bright, n_faces):
        return {"share": len(bright["faces"]) / max(1, n_faces["n_faces"])}


class Here:
    """An executor in this process, in either layout."""

    def __init__(self, job, layout: str) -> None:
        self.job, self.layout = job, layout

    def nodes_to_be(self):
        return []

    def session(self):
        return contextlib.nullcontext(Meter())

    def nodes(self):
        return [Node(cpus=4)]

    def work_off(self, left, order, plan):
        modules = list(self.job.modules)
        worker = ImageWorker(modules, order)
        if self.layout == "staged":
            assert [pool.name for pool in plan.pools] == ["decode", *(m.name for m in modules), "land"]
            decoder, lander = Decoder(modules, order, 2), Lander(order)
            names = [module.name for module in modules]
            runners = [ModelRunner(module, order, names[at + 1 :]) for at, module in enumerate(modules)]
        for block in blocks(left, plan.block_rows):
            if self.layout == "fused":
                yield worker(block)
                continue
            for chunk in decoder(block):
                for runner in runners:
                    chunk = runner(chunk)
                yield lander(chunk)


def run(monkeypatch, folder, out, *modules, layout="fused", **options):
    """A run, and at how many photos each module looked in it."""
    LOOKED.clear()
    monkeypatch.setattr("pixelbrain.engine.passes.choose_executor", lambda job, _looks: Here(job, layout))
    wishes = Placement(layout=layout, executor="ray")
    report = extract(DataLoader(str(folder)), modules, out, placement=wishes, **{"thumbnails": False, **options})
    return report, dict(Counter(name for name, _photo in LOOKED))


def rows_of(out) -> dict[str, dict]:
    """By the file's name, what landed of each photo."""
    tables = Landing(out).iter_images()
    return {row["image_id"].rpartition("/")[2]: row for table in tables for row in table.to_pylist()}

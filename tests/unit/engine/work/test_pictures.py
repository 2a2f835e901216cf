"""Extract lands small pictures beside its rows, of whole images and of faces, and the gallery reads no original."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pixelbrain import schema
from pixelbrain.engine.work.fused import ImageWorker
from pixelbrain.engine.work.pictures import add_faces, take_pictures
from pixelbrain.engine.work.staged import Decoder, Lander, ModelRunner
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, blocks
from pixelbrain.images.decode import DecodedImage
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.report.gallery import pages
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Deadly, Size

STATES = {name: ModuleState(settings={}, model=None) for name in ("size", "people")}


class Faces(PipelineModule):
    """Two faces in each image, and an error in one that is 61 pixels wide."""

    name = "people"

    def fields(self):
        return schema.faces_fields(2)

    def process(self, image):
        if image.width == 61:
            raise RuntimeError("61 is not a width")
        face = {"face_id": "f", "y1": 0, "y2": 9.3, "landmarks": [0] * 10, "embedding": [0, 1]}
        return {"n_faces": 2, "faces": [face | {"x1": x, "x2": x + 9.3} for x in (0, 20)]}


def block_of(folder, out) -> pa.Table:
    hashes = {name: state.settings_hash for name, state in STATES.items()}
    (block,) = blocks(
        Worklist(loader=DataLoader(str(folder)), storage=open_storage(out), settings_hashes=hashes, generation=1), 100
    )
    return block


def pictures_in(out) -> list[dict]:
    return pq.read_table(out / schema.PICTURES, schema=schema.PICTURE_SCHEMA).to_pylist()


def order_for(out, **options) -> WorkOrder:
    return WorkOrder(storage=open_storage(out), generation=1, states=STATES, **options)


def extract(layout: str, folder, out, **options) -> None:
    modules, block, order = [Size(), Faces()], block_of(folder, out), order_for(out, **options)
    if layout == "fused":
        ImageWorker(modules, order)(block)
        return
    chunks = pa.concat_tables(Decoder(modules, order, 3)(block))
    for number, module in enumerate(modules):
        chunks = ModelRunner(module, order, [later.name for later in modules[number + 1 :]])(chunks)
    Lander(order)(chunks)


@pytest.mark.parametrize("layout", ["fused", "staged"])
def test_each_image_that_opens_has_its_picture_and_those_of_its_faces(photo_folder, tmp_path, layout):
    out = tmp_path / "out"
    extract(layout, photo_folder, out, thumbnails=True)
    rows = {row["image_id"]: row for table in Landing(out).iter_images() for row in table.to_pylist()}
    assert len(rows) == 7 and not any(name.startswith("pictures") for name in next(iter(rows.values())))
    found = pictures_in(out)
    wholes = {one["image_id"]: one for one in found if one["box"] is None}
    assert wholes.keys() == {name for name, row in rows.items() if row["status"] == "ok"} and len(wholes) == 5
    for name, one in wholes.items():
        assert one["version"] == rows[name]["version"]
        with Image.open(io.BytesIO(one["picture"])) as picture:
            assert picture.format == "JPEG" and picture.size == (rows[name]["width"], rows[name]["height"])
    faces = Counter(one["image_id"] for one in found if one["box"] is not None)
    assert faces == {name: 2 for name in wholes if rows[name]["people"]["faces"]} and len(faces) == 4
    structs = [row["people"] for row in rows.values() if row["people"] and row["people"]["faces"]]
    landed = {tuple(face[corner] for corner in ("x1", "y1", "x2", "y2")) for one in structs for face in one["faces"]}
    assert {tuple(one["box"]) for one in found if one["box"]} == landed


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_face_of_a_photo_that_was_turned_is_shown_upright(turn):
    """A face of 100 px whose left half is white, in a photo as it is shown."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[100:200, 150:200] = 255
    photo = Image.fromarray(pixels).rotate(turn, expand=True)
    image = DecodedImage(image_id="a", pixels=np.asarray(photo), width=photo.width, height=photo.height, format="PNG")
    x, y = photo.width / 2, photo.height / 2
    box = {"x1": x - 50, "x2": x + 50, "y1": y - 50, "y2": y + 50}
    faces = {"n_faces": 1, "turn": turn or None, "faces": [{"face_id": "a#0", **box}]}
    rows = pa.table({"image_id": ["a"], "version": ["1"], "faces": [faces]})
    _rows, found = take_pictures(add_faces(rows, "faces", [0], [image]))
    with Image.open(io.BytesIO(found["picture"][0].as_py())) as crop:
        grey = np.asarray(crop.convert("L"))
    assert grey[80:112, 50:90].mean() > 200 > 50 > grey[80:112, 102:142].mean()


def test_without_them_no_file_of_pictures_lands(photo_folder, tmp_path):
    extract("fused", photo_folder, tmp_path / "out")
    assert not (tmp_path / "out" / schema.PICTURES).exists()


@pytest.mark.usefixtures("forked")
def test_an_image_that_kills_its_process_costs_no_other_its_picture(photo_folder, tmp_path, encode):
    out = tmp_path / "out"
    (photo_folder / "deadly.jpg").write_bytes(encode(size=(77, 40)))
    block = block_of(photo_folder, out)
    worker = ImageWorker([Deadly("SIGKILL"), Faces()], order_for(out, thumbnails=True), wary=True)
    for _ in range(2):
        ImageWorker([], order_for(out)).notes.begin("0")
    assert worker(block).to_pylist()[0]["images"] == 8
    assert len([one for one in pictures_in(out) if one["box"] is None]) == 5


def test_the_gallery_copies_them_and_reads_no_original(photo_folder, tmp_path, monkeypatch: pytest.MonkeyPatch):
    extract("fused", photo_folder, tmp_path / "out", thumbnails=True)
    read = []
    monkeypatch.setattr(pages, "read_bytes", lambda image_id, **_: read.append(image_id))
    report = pages.build_gallery(Landing(tmp_path / "out")).parent
    landed = {one["picture"] for one in pictures_in(tmp_path / "out") if one["box"] is None}
    assert {path.read_bytes() for path in report.rglob("thumbs/*/*.jpg")} == landed and len(landed) > 3
    assert not read

"""What a module is that looks at each face that another one found: aligned crops in, fields of faces out."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pixelbrain import schema
from pixelbrain.errors import ModuleError
from pixelbrain.images.decode import DecodedImage, DecodeTarget
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.faces.align import CHIP_PX, align

#: By what a result is known to be about a face as it is now: its id, and its box.
_WHOSE = schema.WHOSE_FIELDS


class FaceModule(PipelineModule):
    """Looks at the faces that facenet found, and says something of each; nothing is detected again.

        class Bright(FaceModule):
            name = "bright"

            def face_fields(self):
                return [pa.field("mean", pa.float32())]

            def process_faces(self, image, crops, faces):
                return [{"mean": crop.mean()} for crop in crops]

    The column is `faces`, a list of structs: `schema.WHOSE_FIELDS` and the module's own. In tables of faces it is
    joined to them: `bright.mean`.
    """

    #: The first gives the faces; of others, `process_faces` gets the structs by their names.
    requires = ("faces",)
    decode_target = DecodeTarget(long_side_px=1024)  # as faces are looked for, by default
    resources = Resources(batch_size=16, input_bytes=6 * 1000**2)  # as facenet's: a photo, as it was decoded

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.requires:
            raise ModuleError(f"{cls.__qualname__}.requires is empty: its first name is what gives the faces")

    @abc.abstractmethod
    def face_fields(self) -> list[pa.Field]:
        """What it says of a face: the own fields of its struct."""

    @abc.abstractmethod
    def process_faces(
        self, image: DecodedImage, crops: np.ndarray, faces: Sequence[dict[str, Any]], *args: Any, **required: Any
    ) -> Sequence[dict[str, Any]]:
        """What it says of each face of a photo that has any, in their order.

        Args:
            image: the photo. Boxes and landmarks are in pixels of its original: times `image.scale` in its `pixels`.
            crops: uint8 (n, 112, 112, 3), RGB: each face, upright, eyes, nose and mouth at `align.CHIP_POINTS`.
            faces: as facenet found them, see `schema.faces_fields`: face_id, x1 ... y2, landmarks, score, embedding.
        """

    def fields(self) -> list[pa.Field]:
        own = self.face_fields()
        if taken := {field.name for field in own} & {field.name for field in _WHOSE}:
            raise ModuleError(f"module {self.name}: face_fields() has {', '.join(sorted(taken))}, which each face has")
        return [pa.field("faces", pa.list_(pa.struct([*_WHOSE, *own])))]

    def process(self, image: DecodedImage, *args: Any, **required: Any) -> dict[str, Any]:
        found = required.pop(self.requires[0])
        if "faces" not in found:
            raise ModuleError(f"{self.requires[0]} finds no faces: it has {', '.join(found)}")
        faces = found["faces"] or []
        if not faces:
            return {"faces": []}
        rows = self.process_faces(image, cut_out(image, faces), faces, **required)
        if len(rows) != len(faces):
            raise ModuleError(f"module {self.name} returned {len(rows)} rows for {len(faces)} faces")
        whose = ({field.name: face[field.name] for field in _WHOSE} for face in faces)
        return {"faces": [{**row, **its} for row, its in zip(rows, whose, strict=True)]}


def cut_out(image: DecodedImage, faces: Sequence[dict[str, Any]]) -> np.ndarray:
    """uint8 (n, 112, 112, 3), RGB: the faces of a photo, aligned as models like ArcFace want them; see `align`.

    Raises `ModuleError` where a face has none.

    Args:
        faces: with `landmarks`, as they land: in pixels of the upright original.
    """
    if any(face.get("landmarks") is None for face in faces):
        raise ModuleError("a face has no landmarks to align it by")
    shown = np.array(image.pixels.shape[1::-1]) / (image.width, image.height)
    chips = [align(image.pixels, np.reshape(face["landmarks"], (5, 2)) * shown) for face in faces]
    return np.stack(chips) if chips else np.empty((0, CHIP_PX, CHIP_PX, 3), np.uint8)

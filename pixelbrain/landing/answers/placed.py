"""Where each image's newest answers are, so that they are read batch by batch beside what else landed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.landing.answers.log import AnswerLog, tell_broken
from pixelbrain.landing.index import LandedIndex
from pixelbrain.landing.parts import Part
from pixelbrain.landing.reader import Layer, read_layers
from pixelbrain.storage.base import BrokenFileError

_SHOWN = ["answer", "status", "model", "error_type", "error"]


@dataclass(frozen=True, kw_only=True)
class PlacedAnswers:
    """The answers to a field's newest question. 8 bytes an image, one entry each, in the order of the listing."""

    parts: Sequence[Part]
    kind: pa.DataType  # of `answer`
    part: np.ndarray  # int32: which of the parts has the answer; -1: this version of the image was not asked about
    row: np.ndarray  # int32: and where in it

    def columns(self, batches: Iterable[np.ndarray]) -> Generator[pa.StructArray, None, None]:
        """Of each batch of images, a struct an image of `answer`, `status`, `model`, `error_type` and `error`, or null.

        Raises as `read_layers` does.
        """
        listed = list(batches)
        layers = ([Layer(columns=_SHOWN, part=self.part[one], row=self.row[one])] for one in listed)
        with contextlib.closing(read_layers(self.parts, layers)) as tables:
            for batch, table in zip(listed, tables, strict=True):
                columns = [column.combine_chunks() for column in table.columns]
                absent = pa.array(self.part[batch] < 0)
                yield pa.StructArray.from_arrays(columns, fields=list(table.schema), mask=absent)


def place_answers(log: AnswerLog, field: str, index: LandedIndex) -> PlacedAnswers | None:
    """Find the answers to a field's newest question, the newest one of each image as it is now; None: there are none.

    Reads ids alone. A file that cannot be read, after a power loss, is left out. Raises `LandingError`.
    """
    part, row = (np.full(len(index.part), -1, np.int32) for _ in range(2))
    parts: list[Part] = []
    question, kind = None, None
    for name, version in reversed(log.files(field)):
        try:
            with log.storage.open_parquet(name, version) as file:
                found = file.read(columns=["image_id", "version", "question"])
                its_kind = file.schema_arrow.field("answer").type
        except BrokenFileError as error:
            tell_broken(error)
            continue
        if question is None:
            question, kind = found["question"][-1], its_kind
        if its_kind != kind:  # of another question
            continue
        rows = np.flatnonzero(pc.equal(found["question"], question))
        about = index.find(found["image_id"].take(pa.array(rows)), found["version"].take(pa.array(rows)))
        new = about >= 0
        new[new] = part[about[new]] < 0  # not answered by a newer file
        part[about[new]], row[about[new]] = len(parts), rows[new]  # of several, numpy keeps the last
        parts.append(Part(storage=log.storage, name=name, version=version, rows=len(found), modules={}, checked=False))
    return PlacedAnswers(parts=parts, kind=kind, part=part, row=row) if question is not None else None

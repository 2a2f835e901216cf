"""OUT as a table: land rows, and read each image exactly once however many runs wrote about it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import LandingError, MixedModelsError, PixelbrainError
from pixelbrain.landing.answers.log import AnswerLog
from pixelbrain.landing.answers.placed import PlacedAnswers, place_answers
from pixelbrain.landing.forgotten.marks import read_marks
from pixelbrain.landing.index import LandedIndex, build_index
from pixelbrain.landing.parts import IMAGES, ModuleState, Part, PartList, list_parts, part_name, write_table
from pixelbrain.landing.reader import newest_first, read_layers
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.storage.base import BrokenFileError, FileGoneError, Storage
from pixelbrain.storage.format import check_format, has_format
from pixelbrain.storage.open import open_storage

_BROKEN = "broken"  # not inside `images`, which others read with all that is below it
_REFRESHES = 20  # of the index, for files that vanish or turn out broken while it is read

logger = logging.getLogger(__name__)


class Landing(Shown):
    """The Parquet tables under OUT: images, identities, groups.

    What it read of `OUT/images` is kept; `refresh()` after another process has landed more. An OUT of a
    later Pixelbrain is refused: `NewerFormatError`.

    Args:
        out: a folder, or `s3://bucket/prefix`.
        s3_endpoint: the S3 server, if it is not Amazon's.
    """

    def __init__(self, out: str | Path | Storage, *, s3_endpoint: str | None = None) -> None:
        self.storage = open_storage(out, s3_endpoint=s3_endpoint)
        self.answer_log = AnswerLog(self.storage)
        self._listed: PartList | None = None
        self._index: LandedIndex | None = None
        self._told: set[str] = set()  # broken files, each warned of once

    def shown(self) -> Mapping[str, Any]:
        known = {} if self._index is None else {"images": len(self._index.image_id), "modules": [*self._index.modules]}
        return {"out": self.storage.uri, **known}

    def shown_at_length(self) -> Mapping[str, Any]:
        try:
            models = {name: model.model for name, model in self.models().items()}
            found = {"images": self.count_images(), "modules": [*self.index.modules], "models": models}
            return {"out": self.storage.uri, **found, "questions": self.answer_log.fields()}
        except PixelbrainError as error:
            return {"out": self.storage.uri, "error": error}

    # --- writing -------------------------------------------------------------------------------------------------

    def write_part(
        self,
        rows: pa.Table,
        *,
        generation: int,
        block: int,
        piece: int,
        modules: Mapping[str, ModuleState],
        replaces: Sequence[str] = (),
    ) -> str:
        """Land rows of `images`; the same (generation, block, piece) again replaces them. Returns the file's name.

        What is forgotten, see `landing.forgotten`, does not land, whoever computed it.
        Workers write, on other machines, under the lock of the run that claimed their generation; see
        `claim_generation`.
        """
        name = part_name(generation, block, piece)
        landed = pa.schema([field.with_type(schema.as_landed(field.type)) for field in rows.schema])
        kinds = {field.name: field.type for field in rows.schema}
        modules = {of: state.of_type(kinds.get(of, pa.null())) for of, state in modules.items()}
        write_table(self.storage, name, read_marks(self.storage).without(rows.cast(landed)), modules, replaces)
        return name

    def write_pictures(self, pictures: pa.Table, rows: pa.Table, *, generation: int, block: int, piece: int) -> None:
        """Land small pictures, rows of `schema.PICTURE_SCHEMA`, of these rows of `images`, before the rows land."""
        name = part_name(generation, block, piece).rpartition("/")[2]
        shown = read_marks(self.storage).without_pictures(pictures, rows)
        write_table(self.storage, f"{schema.PICTURES}/{name}", shown)

    def block_so_far(self, generation: int, block: int) -> tuple[set[str], int]:
        """The image_ids that a killed try of a block has landed, and the number of the next free piece.

        Looks for the block's own files by name, one request for each and one more, and lists nothing.
        """
        landed: set[str] = set()
        for piece in itertools.count():
            name = part_name(generation, block, piece)
            try:
                with self.storage.open_parquet(name) as file:
                    landed.update(file.read(columns=["image_id"])["image_id"].to_pylist())
            except FileGoneError:
                return landed, piece
            except BrokenFileError as error:  # its images are done again, into a later piece
                self._tell_broken(name, str(error))
        raise AssertionError("unreachable")

    def piece_rows(self, generation: int, block: int, piece: int) -> int | None:
        """How many rows an earlier try of a block has landed as this piece; None: it has not."""
        name = part_name(generation, block, piece)
        try:
            with self.storage.open_parquet(name) as file:
                return file.metadata.num_rows
        except FileGoneError:
            return None
        except BrokenFileError as error:
            self._tell_broken(name, str(error))
            return None

    def set_aside_broken(self) -> list[str]:
        """Move part files that cannot be read to `broken`, so that a new run does their images again.

        Temporary files that killed processes left go, too. It takes OUT's lock: nobody else may be writing. Returns
        their new names, relative to OUT; none, nearly always.
        """
        with RunLock(self.storage, what="extract"):
            self.refresh()
            # a PUT is complete or absent; of a disk that lost power, hardly a block is certain
            self._list(check_ids=self.storage.is_local)
            moved = {name: f"{_BROKEN}/{name.rpartition('/')[2]}" for name in sorted(self._list().broken)}
            for name, to in moved.items():
                self.storage.move(name, to)
            self.storage.sweep(IMAGES)
        if moved:
            self.refresh()
        return list(moved.values())

    # --- what is there -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look anew at what is in OUT. What was read of files that are still there is kept."""
        self._listed = None
        self.__dict__.pop("answers", None)

    @property
    def parts(self) -> list[Part]:
        """The part files of `images`; without those that cannot be read, whose images count as not landed."""
        return self._list().parts

    def _list(self, *, check_ids: bool = False) -> PartList:
        if self._listed is None:
            check_format(self.storage)
            self._listed = list_parts(self.storage, check_ids=check_ids)
            for name, why in self._listed.broken.items():
                self._tell_broken(name, why)
            if self._index is not None and self._index.parts != self._listed.parts:
                self._index = None
        return self._listed

    @property
    def index(self) -> LandedIndex:
        """Where each image's newest values are."""
        for _ in range(_REFRESHES):
            try:
                return self._build_index()
            except FileGoneError:  # `pixelbrain compact` in another process put another one in its place
                self.refresh()
            except BrokenFileError as error:  # its footer is whole, and its ids are not
                found = self._list()
                found.parts[:] = [part for part in found.parts if part.name != error.name]
                found.broken[error.name] = str(error)
                self._tell_broken(error.name, str(error))
        return self._build_index()

    def _build_index(self) -> LandedIndex:
        parts = self.parts  # of which a new list drops the index
        if self._index is None:
            self._index = build_index(list(parts))
        return self._index

    def _tell_broken(self, name: str, why: str) -> None:
        if name not in self._told:
            logger.warning("%s; left out, and the next run does its images again", why)
            self._told.add(name)

    @functools.cached_property
    def answers(self) -> dict[str, PlacedAnswers]:
        """By field, where the answers to its newest question are; read with `iter_images`."""
        found = {name: place_answers(self.answer_log, name, self.index) for name in self.answer_log.fields()}
        return {name: placed for name, placed in found.items() if placed is not None}

    def exists(self) -> bool:
        """Whether anything has landed."""
        return bool(self.parts)

    def require(self) -> Landing:
        """This landing, if anything has landed, though all of it may be pruned or forgotten.

        Raises `LandingError` where nothing has.
        """
        if not self.exists() and not has_format(self.storage):
            raise LandingError(
                f"nothing has landed in {self.storage.uri}: `pixelbrain run SOURCE --out {self.storage.uri}` first"
            )
        return self

    def count_images(self) -> int:
        """Images, each counted once."""
        return len(self.index.image_id)

    def states(self) -> dict[str, ModuleState]:
        """What computed each module's column.

        Raises `MixedModelsError` of a column with rows of two models, as when a run with another one was cut short.
        """
        found: dict[str, ModuleState] = {}
        for name, (part, _row) in self.index.modules.items():
            for number in np.unique(part[part >= 0]):
                state = self.index.parts[number].modules[name]
                earlier = found.setdefault(name, state)
                vectors = {**(state.vectors or {}), **(earlier.vectors or {})}  # an older version noted fewer
                found[name] = replace(earlier, vectors=vectors)
                if earlier.model != state.model or any(vectors[v] != dim for v, dim in (state.vectors or {}).items()):
                    named = earlier.model != state.model
                    models = " and ".join(sorted(_named(s) if named else _measured(s) for s in (earlier, state)))
                    raise MixedModelsError(
                        f"the column {name} of {self.storage.uri} holds rows of two models, {models}: "
                        "run `pixelbrain extract` over all its images with one of them"
                    )
        return found

    def newest_states(self) -> dict[str, tuple[ModuleState, pa.Schema]]:
        """What computed each module's column last, and the columns of that part: of two, what a run changes to."""
        found: dict[str, tuple[ModuleState, pa.Schema]] = {}
        for part in newest_first(self.parts):
            for name in part.modules.keys() - found.keys():
                found[name] = part.modules[name], part.columns
        return found

    def models(self) -> dict[str, schema.ModelInfo]:
        """The model behind each column that has one; raises as `states` does."""
        return {name: state.model for name, state in self.states().items() if state.model}

    def iter_images(
        self,
        modules: Sequence[str] | None = None,
        *,
        vectors: bool = True,
        computed_by: str | None = None,
        images: np.ndarray | None = None,
        base: Sequence[str] = (),
        batch_rows: int = 1000,
    ) -> Iterator[pa.Table]:
        """Every image exactly once, in the order of the listing.

        Args:
            modules: struct columns to read; all by default, and the answers.
            vectors: False leaves out the structs' embeddings, which are most of the bytes.
            computed_by: a module of which a column `computed_by` is wanted, see `LandedIndex.computed_by`.
            images: only those at these positions in the index, ascending.
            base: of `schema.BASE_FIELDS`, only these; all by default.
            batch_rows: rows a table.

        Yields:
            Tables of `schema.BASE_FIELDS`, one struct column a module, null where the module has not seen the image,
            and one struct column a field that was asked about: `answer`, `status`, `model`, `error_type` and `error`,
            null where this version of the image was not asked about.
        """
        names = list(self.index.modules) if modules is None else [m for m in modules if m in self.index.modules]
        asked = list(self.answers) if modules is None else [m for m in modules if m in self.answers]
        if vectors:
            self.states()
        left, stuck = np.arange(self.count_images()) if images is None else images, False
        while len(left):
            index, answers, done = self.index, self.answers, 0
            batches = [left[start : start + batch_rows] for start in range(0, len(left), batch_rows)]
            layers = (index.layers(batch, names, base) for batch in batches)
            try:
                with contextlib.ExitStack() as stack:
                    readers = [
                        stack.enter_context(contextlib.closing(reader))
                        for reader in (
                            read_layers(index.parts, layers, vectors=vectors),
                            *(answers[name].columns(batches) for name in asked),
                        )
                    ]
                    for batch, table, *said in zip(batches, *readers, strict=True):
                        for name, column in zip(asked, said, strict=True):
                            table = table.append_column(name, column)
                        if computed_by is not None:
                            table = table.append_column("computed_by", index.computed_by(computed_by, batch))
                        yield table
                        done += len(batch)
                return
            except FileGoneError:  # compacted by another process: the same images are in other files now
                if stuck and not done:
                    raise
            stuck = True
            left = left[done:]
            self.refresh()
            position = pc.index_in(index.image_id.take(pa.array(left)), self.index.image_id.combine_chunks())
            left = np.asarray(position.drop_null())


def _named(state: ModuleState) -> str:
    return state.model.model if state.model else "?"


def _measured(state: ModuleState) -> str:
    """By the lengths of its vectors, where it is called as another."""
    return ", ".join(f"one of {dim} numbers in {path}" for path, dim in (state.vectors or {}).items())

"""OUT as a table: land rows, and read each image exactly once however many runs wrote about it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pixelbrain import schema
from pixelbrain.errors import LandingError, MixedModelsError
from pixelbrain.landing.answers import AnswerLog
from pixelbrain.landing.index import LandedIndex, build_index
from pixelbrain.landing.parts import ModuleState, Part, list_parts, part_name, write_table

__all__ = ["Landing"]

_BASE_NAMES = [field.name for field in schema.BASE_FIELDS]


class Landing:
    """The Parquet tables under OUT: images, identities, groups.

    What it read of `OUT/images` is kept; `refresh()` after another process has landed more.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out).expanduser().absolute()
        self.images_folder = self.out / "images"
        self.answer_log = AnswerLog(self.out)

    # --- writing -------------------------------------------------------------------------------------------------

    def next_generation(self) -> int:
        """The number for a new run: newer than all that is there."""
        return max((part.generation for part in self.parts), default=0) + 1

    def write_part(
        self, rows: pa.Table, *, generation: int, block: int, piece: int, modules: Mapping[str, ModuleState]
    ) -> Path:
        """Land rows of `images`; the same (generation, block, piece) again replaces them."""
        path = self.images_folder / part_name(generation, block, piece)
        write_table(rows, path, modules)
        return path

    # --- what is there -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Forget what was read of `OUT/images`."""
        self.__dict__.pop("parts", None)
        self.__dict__.pop("index", None)
        self.__dict__.pop("answers", None)

    @functools.cached_property
    def parts(self) -> list[Part]:
        """The part files of `images`."""
        return list_parts(self.images_folder)

    @functools.cached_property
    def index(self) -> LandedIndex:
        """Where each image's newest values are."""
        return build_index(self.parts)

    @functools.cached_property
    def answers(self) -> dict[str, pa.StructArray]:
        """By field, the answers to its newest question: `answer`, `status`, `model`, `error_type`, `error`.

        One entry an image, in the order of the listing; null where this version of the image was not asked about.
        """
        return {
            name: _aligned(table, self.index)
            for name in self.answer_log.fields()
            if (table := self.answer_log.read(name)) is not None
        }

    def exists(self) -> bool:
        """Whether anything has landed."""
        return bool(self.parts)

    def require(self) -> Landing:
        """This landing, if anything has landed.

        Raises:
            LandingError: nothing has.
        """
        if not self.exists():
            raise LandingError(f"nothing has landed in {self.out}: `pixelbrain run SOURCE --out {self.out}` first")
        return self

    def count_images(self) -> int:
        """Images, each counted once."""
        return len(self.index.image_id)

    def states(self) -> dict[str, ModuleState]:
        """What computed each module's column.

        Raises:
            MixedModelsError: a column holds rows of two models, as when a run with another model was cut short.
        """
        found: dict[str, ModuleState] = {}
        for name, (part, _row) in self.index.modules.items():
            for number in np.unique(part[part >= 0]):
                state = self.parts[number].modules[name]
                earlier = found.setdefault(name, state)
                if earlier.model != state.model:
                    models = " and ".join(sorted(s.model.model if s.model else "?" for s in (earlier, state)))
                    raise MixedModelsError(
                        f"the column {name} of {self.out} holds rows of two models, {models}: run `pixelbrain extract` "
                        "over all its images with one of them"
                    )
        return found

    def models(self) -> dict[str, schema.ModelInfo]:
        """The model behind each column that has one; raises as `states` does."""
        return {name: state.model for name, state in self.states().items() if state.model}

    def iter_images(
        self, modules: Sequence[str] | None = None, *, vectors: bool = True, batch_rows: int = 1000
    ) -> Iterator[pa.Table]:
        """Every image exactly once, in the order of the listing.

        Args:
            modules: struct columns to read; all by default, and the answers.
            vectors: False leaves out the structs' embeddings, which are most of the bytes.
            batch_rows: rows a table.

        Yields:
            Tables of `schema.BASE_FIELDS`, one struct column a module, null where the module has not seen the image,
            and one struct column a field that was asked about, see `answers`.
        """
        names = list(self.index.modules) if modules is None else [m for m in modules if m in self.index.modules]
        asked = list(self.answers) if modules is None else [m for m in modules if m in self.answers]
        if vectors:
            self.states()
        for start in range(0, self.count_images(), batch_rows):
            positions = np.arange(start, min(start + batch_rows, self.count_images()))
            table = self._assemble(positions, names, vectors)
            for name in asked:
                table = table.append_column(name, self.answers[name].take(pa.array(positions)))
            yield table

    def _assemble(self, positions: np.ndarray, modules: Sequence[str], vectors: bool) -> pa.Table:
        index = self.index
        table = self._take(index.part[positions], index.row[positions], _BASE_NAMES, vectors=True)
        for name in modules:
            part, row = index.modules[name]
            column = self._take(part[positions], row[positions], [name], vectors=vectors)
            table = table.append_column(column.schema.field(0), column.column(0))
        return table

    def _take(self, part: np.ndarray, row: np.ndarray, columns: list[str], *, vectors: bool) -> pa.Table:
        """Rows (part[i], row[i]) in this order; nulls where part is -1."""
        tables, places = [], []
        for number in np.unique(part):
            chosen = np.flatnonzero(part == number)
            places.append(chosen)
            if number < 0:
                tables.append(pa.table({name: pa.nulls(len(chosen)) for name in columns}))
                continue
            tables.append(_read(self.parts[number], columns, vectors).take(pa.array(row[chosen])))
        if all(number < 0 for number in np.unique(part)):  # no row of the batch has it: its type is in any part
            holder = next(p for p in self.parts if all(c in p.modules for c in columns))
            tables.append(_read(holder, columns, vectors).slice(0, 0))
        merged = pa.concat_tables(tables, promote_options="default")
        return merged.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))

    # --- tables of later stages ----------------------------------------------------------------------------------

    def write_identities(self, table: pa.Table) -> None:
        """Replace `OUT/identities`; rows of `schema.IDENTITY_SCHEMA`."""
        write_table(table.cast(schema.IDENTITY_SCHEMA), self.out / "identities" / "identities.parquet")

    def read_identities(self) -> pa.Table | None:
        """The identities, or None before `pixelbrain identify`."""
        return _read_if_there(self.out / "identities" / "identities.parquet")

    def write_groups(self, table: pa.Table) -> None:
        """Replace `OUT/groups`; rows of `schema.GROUP_SCHEMA`."""
        write_table(table.cast(schema.GROUP_SCHEMA), self.out / "groups" / "groups.parquet")

    def read_groups(self) -> pa.Table | None:
        """The visual groups, or None before `pixelbrain group`."""
        return _read_if_there(self.out / "groups" / "groups.parquet")


def _aligned(table: pa.Table, index: LandedIndex) -> pa.StructArray:
    """A field's answers as structs, one an image of the index."""
    place = pc.index_in(index.image_id, table["image_id"].combine_chunks())
    same = pc.equal(index.version, table["version"].take(place))  # of an older version of the file: not its answer
    place = pc.if_else(pc.fill_null(same, False), place, pa.scalar(None, place.type))
    shown = table.select(["answer", "status", "model", "error_type", "error"]).combine_chunks()
    structs = pa.StructArray.from_arrays([c.combine_chunks() for c in shown.columns], names=shown.column_names)
    return structs.take(place.combine_chunks())


def _read(part: Part, columns: list[str], vectors: bool) -> pa.Table:
    """Columns of a part file; without vectors, all their fields but the embeddings."""
    try:
        # ParquetFile and not read_table: only it picks fields inside lists of structs
        with pq.ParquetFile(part.path) as file:
            leaves = columns
            if not vectors:
                leaves = [leaf for n in columns for leaf in _without_embedding(n, file.schema_arrow.field(n).type)]
            return file.read(columns=leaves).select(columns).replace_schema_metadata(None)
    except (OSError, pa.ArrowException) as error:
        raise LandingError(f"cannot read {part.path}: {error}") from None


def _without_embedding(prefix: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_struct(kind):
        return [
            leaf
            for field in (kind.field(i) for i in range(kind.num_fields))
            if field.name != "embedding"
            for leaf in _without_embedding(f"{prefix}.{field.name}", field.type)
        ]
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return _without_embedding(f"{prefix}.list.element", kind.value_type)
    return [prefix]


def _read_if_there(path: Path) -> pa.Table | None:
    try:
        # ParquetFile and not read_table, which imports pandas: 1.6 s
        return pq.ParquetFile(path).read().replace_schema_metadata(None) if path.exists() else None
    except (OSError, pa.ArrowException) as error:
        raise LandingError(f"cannot read {path}: {error}") from None

"""What later stages derive from what landed, people and groups, and which of its rows still fit what is there now.

A row says what it was derived from: the image's version, what computed the module's column, and of a face its box.
Where any of it has changed since, the row is about another photo or another face, and no reader sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import LandingError
from pixelbrain.landing.digests import DigestTable, digest_ids, sort_digests
from pixelbrain.landing.parts import modules_said, write_table
from pixelbrain.landing.registry import REGISTRY
from pixelbrain.locks.run import RunLock
from pixelbrain.storage.base import BrokenFileError, FileGoneError

if TYPE_CHECKING:
    from pixelbrain.landing.landing import Landing


@dataclass(frozen=True, kw_only=True)
class DerivedRows:
    """A table of a later stage, beside what has landed."""

    rows: pa.Table | None  # those that fit; None: the stage has not run
    stale: int = 0  # rows of what changed or went away since
    missing: int = 0  # faces, or images, that landed since, or changed: the stage has not seen them as they are

    @property
    def outdated(self) -> bool:
        """Whether the stage would say something else now."""
        return self.rows is not None and (self.stale > 0 or self.missing > 0)


@dataclass(frozen=True, kw_only=True)
class DerivedTable:
    """One table of a later stage: a row a face, or an image, that a module's column holds."""

    name: str  # of its folder and its file
    module: str  # whose column it is made of, if its file names no other; "": the images themselves
    key: str  # the column that names what a row is about
    columns: pa.Schema
    beside: str | None = None  # a file of OUT that says more about what the rows name
    folder: str = ""  # if it is called otherwise

    @property
    def file(self) -> str:
        """Its file, relative to OUT."""
        return f"{self.folder or self.name}/{self.name}.parquet"

    def write(self, landing: Landing, table: pa.Table, module: str | None = None) -> None:
        """Replace it; each row gets its origin, and those of what is not there go. Raises `OutLockedError`."""
        with RunLock(landing.storage, what=self.name):
            self._write(landing, table, module or self.module)

    def of_module(self, landing: Landing) -> str:
        """The module whose column it is made of, by its file."""
        try:
            with landing.storage.open_parquet(self.file) as file:
                return next(iter(modules_said(file)), self.module)
        except (FileGoneError, BrokenFileError):  # who reads the rows says so
            return self.module

    def rewrite(self, landing: Landing, table: pa.Table) -> None:
        """Replace it by rows that have their origin, as `whole` reads them. Raises `OutLockedError`."""
        with RunLock(landing.storage, what=self.name):
            self._land(landing, table, self.of_module(landing))

    def _land(self, landing: Landing, rows: pa.Table, module: str) -> None:
        """The same rows as are there stay as they are: to later stages, which look at the file, nothing is new."""
        rows = rows.select(self.columns.names).cast(self.columns)
        with contextlib.suppress(LandingError):  # what cannot be read is replaced
            before = self.whole(landing)
            if before is not None and before.equals(rows) and self.of_module(landing) == module:
                return
        other = {module: landing.states()[module]} if module != self.module else None
        write_table(landing.storage, self.file, rows, other)

    def _write(self, landing: Landing, table: pa.Table, module: str) -> None:
        pieces, places = [self._origin_schema().empty_table()], [np.empty(0, np.int64)]
        known, order = _lookup(digest_ids(table[self.key]))
        for there in self._origins(landing, module=module):
            found = known.find(digest_ids(there[self.key]))
            pieces.append(there.filter(pa.array(found >= 0)))
            places.append(order[found[found >= 0]])
        origins, rows = pa.concat_tables(pieces), table.take(pa.array(np.concatenate(places)))
        for name in self._origin_schema().names[1:]:
            at = rows.schema.get_field_index(name)
            rows = rows.remove_column(at) if at >= 0 else rows
            rows = rows.append_column(name, origins[name])
        in_order = self._with_all_columns(rows.take(pa.array(np.argsort(np.concatenate(places)))))
        self._land(landing, in_order, module)

    def whole(self, landing: Landing) -> pa.Table | None:
        """All rows, whether they fit or not; None before the stage has run. Raises `LandingError`."""
        try:
            with landing.storage.open_parquet(self.file) as file:
                return self._with_all_columns(file.read().replace_schema_metadata(None))
        except FileGoneError:
            return None

    def _with_all_columns(self, table: pa.Table) -> pa.Table:
        """Null where an older version wrote none."""
        names = set(table.column_names)
        for field in self.columns:
            table = table if field.name in names else table.append_column(field, pa.nulls(len(table), field.type))
        return table.select(self.columns.names)

    def read(self, landing: Landing) -> DerivedRows:
        """Its rows that fit. Raises `LandingError` if OUT cannot be read."""
        table = self.whole(landing)
        if table is None:
            return DerivedRows(rows=None)
        # of rows without an origin, which older versions wrote, only what they are about can be looked for
        unsaid = np.asarray(pc.is_null(table["image_version"]))
        if not self.of_module(landing) and not unsaid.any():  # what it is about the index has in memory
            index, fits = landing.index, np.zeros(len(table), bool)
            read = pc.equal(index.status, schema.Status.OK.value)
            fits[np.asarray(index.rows_in(table, "image_version").filter(read).drop_null())] = True
            landed, fitting = pc.sum(read).as_py() or 0, int(fits.sum())
        else:
            wholes, keys = [], []
            for there in self._origins(landing):
                wholes.append(self._digests(there))
                if unsaid.any():
                    keys.append(digest_ids(there[self.key]))
            fits = _held(wholes, self._digests(table))
            if unsaid.any():
                fits = np.where(unsaid, _held(keys, digest_ids(table[self.key])), fits)
            landed, fitting = sum(map(len, wholes)), int(np.count_nonzero(fits & ~unsaid))
        return DerivedRows(
            rows=table.filter(pa.array(fits)), stale=len(table) - int(fits.sum()), missing=landed - fitting
        )

    def rows(self, landing: Landing) -> pa.Table:
        """Its rows that fit; none before the stage has run."""
        rows = self.read(landing).rows
        return self.columns.empty_table() if rows is None else rows

    def digest(self, landing: Landing) -> str:
        """Changes with the rows that fit: with the file, and with what landed of the module. No row is read."""
        version = landing.storage.versions(self.folder or self.name).get(f"{self.name}.parquet")
        folder, _slash, name = (self.beside or "").rpartition("/")
        if version and (more := landing.storage.versions(folder).get(name) if name else None):
            version += f"+{more}"
        module = self.of_module(landing) if version else self.module
        landed = landing.index.digest(module or None) if not module or module in landing.index.modules else ""
        return f"{version}-{landed}" if version else ""

    def origins(self, landing: Landing) -> pa.Table:
        """What landed that a row could be about, with its origin: version, what computed it, box."""
        wanted = [self.columns.field(name) for name in dict.fromkeys((*self._origin_schema().names, "image_id"))]
        return pa.concat_tables([pa.schema(wanted).empty_table(), *self._origins(landing, pa.schema(wanted))])

    def count(self, landing: Landing) -> int:
        """How many faces, or images, landed that a row could be about."""
        return sum(map(len, self._origins(landing)))

    def _origin_schema(self) -> pa.Schema:
        names = [self.key, *(field.name for field in (*schema.ORIGIN_FIELDS, *schema.BOX_FIELDS))]
        return pa.schema([self.columns.field(name) for name in names if name in self.columns.names])

    def _digests(self, table: pa.Table) -> np.ndarray:
        """uint64 (n, 2): of what each row is about, and of its origin."""
        texts = [pc.fill_null(table[name].cast(pa.large_string()), "") for name in self._origin_schema().names]
        return digest_ids(pc.binary_join_element_wise(*texts, pa.scalar("\0", pa.large_string())))

    def _origins(
        self, landing: Landing, wanted: pa.Schema | None = None, module: str | None = None
    ) -> Iterator[pa.Table]:
        """What landed that this table may be about, with its origin."""
        wanted, module = wanted or self._origin_schema(), module or self.of_module(landing)
        if not module:
            for table in landing.iter_images([]):
                read = table.filter(pc.equal(table["status"], schema.Status.OK.value))
                columns = {"image_id": read["image_id"], "image_version": read["version"]}
                columns["computed_by"] = pa.nulls(len(read), pa.string())
                yield pa.table(columns).select(wanted.names).cast(wanted)
            return
        if module not in landing.index.modules:
            return
        for table in landing.iter_images([module], vectors=False, computed_by=module):
            struct = table[module].combine_chunks()
            seen = pc.and_(pc.is_valid(struct), pc.is_null(pc.struct_field(struct, "error_type")))
            table, struct = table.filter(seen), struct.filter(seen)
            columns = {"image_id": table["image_id"], "image_version": table["version"]}
            columns["computed_by"] = table["computed_by"]
            found = pa.table(columns)
            if self.key == "face_id":
                lists = pc.struct_field(struct, "faces")
                faces = pc.list_flatten(lists)
                found = found.take(pc.list_parent_indices(lists))
                for name in ("face_id", *(field.name for field in schema.BOX_FIELDS)):
                    found = found.append_column(name, pc.struct_field(faces, name))
            yield found.select(wanted.names).cast(wanted)


#: Who is who; see `identity.people`.
IDENTITIES = DerivedTable(
    name="identities", module="facenet", key="face_id", columns=schema.IDENTITY_SCHEMA, beside=REGISTRY
)
#: Which images look alike; see `identity.group`.
GROUPS = DerivedTable(name="groups", module="resnet", key="image_id", columns=schema.GROUP_SCHEMA)
#: Which images are there more than once; see `landing.duplicates`.
DUPLICATES = DerivedTable(name="duplicates", module="", key="image_id", columns=schema.DUPLICATE_SCHEMA)


DERIVED = {table.name: table for table in (IDENTITIES, GROUPS, DUPLICATES)}

MAPS = "maps"


def map_table(name: str, *, of_faces: bool) -> DerivedTable:
    """The map of the vectors of that name; see `identity.mapping`."""
    key, columns = ("face_id", schema.FACE_MAP_SCHEMA) if of_faces else ("image_id", schema.MAP_SCHEMA)
    return DerivedTable(name=name, module="", key=key, columns=columns, folder=MAPS)


def landed_maps(landing: Landing) -> dict[str, DerivedTable]:
    """The maps that are there, by the name of their vectors."""
    found = {}
    for file in sorted(landing.storage.versions(MAPS)):
        with contextlib.suppress(FileGoneError, BrokenFileError), landing.storage.open_parquet(f"{MAPS}/{file}") as one:
            name = file.removesuffix(".parquet")
            found[name] = map_table(name, of_faces="face_id" in one.schema_arrow.names)
    return found


def cluster_name(word: str, first_id: str) -> str:
    """The id of the person or group whose smallest id this is: `word`, a hyphen and 12 hex digits.

    It is a function of what the cluster's rows are, so the same photos give it again, in any order, with any other
    clusters beside. Photos added later leave it as it is unless they sort before all of the cluster's earlier ones
    (names with rising numbers or dates do not), and a medoid would move with every photo.
    """
    return f"{word}-{hashlib.sha256(first_id.encode()).hexdigest()[:12]}"


def _lookup(digests: np.ndarray) -> tuple[DigestTable, np.ndarray]:
    """Distinct digests, and where each stood."""
    order, first = sort_digests(digests)
    return DigestTable(digests[order[first]]), order[first]


def _held(there: list[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """bool (n,): whether each of the wanted digests is there."""
    known, _order = _lookup(np.concatenate([np.empty((0, 2), np.uint64), *there]))
    return known.find(wanted) >= 0

"""`Database`: MongoDB for fields and ChromaDB for vectors, behind one class."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database as MongoDatabase

from pixelbrain.config import mask_uri
from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.landing.derived import DERIVED
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.registry import read_registry
from pixelbrain.schema import ModelInfo, check_name, field_path
from pixelbrain.storage.base import Storage
from pixelbrain.storage.local import why_not_writable
from pixelbrain.stores.address import chroma_database, is_url
from pixelbrain.stores.chroma.fields import ChromaVectors, Collection
from pixelbrain.stores.chroma.heartbeat import find_server
from pixelbrain.stores.mongo import derived
from pixelbrain.stores.mongo import fields as image_fields
from pixelbrain.stores.mongo.connection import MongoConnection
from pixelbrain.stores.mongo.csv_rows import read_rows
from pixelbrain.stores.mongo.fields import FieldSummary, check_field, check_filter
from pixelbrain.stores.mongo.upsert import create_indexes, upsert_images
from pixelbrain.stores.results import WriteResult
from pixelbrain.stores.vectors import Match, VectorBatch

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore

logger = logging.getLogger(__name__)


class Database:
    """The two stores of an OUT folder.

    A field is called as in `ask --where` and in exports: `label`, `n_faces`, an answer by its question's field, a field
    of your own; or as the documents have it, with dots (`resnet.label`, `is_person.answer`, `facenet.faces.score`).

    Each is opened when it is first needed: a search starts no mongod.

    Open it with `Database.open`, and close it, or use it in a `with`. Several in one process share the embedded
    stores; another process is refused (`StoreLockedError`). A server that goes away raises `StoreError`; open the
    database again then, and what was acknowledged is there.

    Args:
        landing: the OUT that they belong to; embedded ones are in `db/` of its local folder.
        mongo: see `Database.open`.
        chroma: see `Database.open`.
    """

    def __init__(self, landing: Landing, *, mongo: str | None, chroma: str | Path | None) -> None:
        if chroma is not None and is_url(chroma):
            chroma_database(str(chroma))
        self.landing = landing
        self.mongo_connection = MongoConnection(mongo, landing.storage.local / "db" / "mongo")
        self._vectors = ChromaVectors(
            landing, chroma if chroma is not None else landing.storage.local / "db" / "chroma"
        )

    @property
    def where(self) -> str:
        """Which stores these are, without passwords."""
        return f"mongo={self.mongo_connection.name!r}, chroma={mask_uri(str(self.chroma_location))!r}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.landing.storage.uri!r}, {self.where})"

    @classmethod
    def open(
        cls,
        out: str | Path | Storage,
        *,
        mongo: str | None = None,
        chroma: str | Path | None = None,
        s3_endpoint: str | None = None,
    ) -> Database:
        """The database of an OUT.

        Args:
            out: the folder, or `s3://bucket/prefix`, that `pixelbrain run --out` made; need not exist yet.
            mongo: a server's URI, its path the database's name (default `pixelbrain`); a mongod of our own, with
                its files in OUT/db/mongo, when None.
            chroma: a server's `http://HOST:PORT`, or a folder; OUT/db/chroma when None.
            s3_endpoint: the S3 server of OUT, if it is not Amazon's.

        Raises `ConfigError`: an address that is none, or a database name that MongoDB does not take.
        """
        return cls(Landing(out, s3_endpoint=s3_endpoint), mongo=mongo, chroma=chroma)

    @property
    def mongo(self) -> MongoDatabase:
        """The MongoDB database: collections `images`, `identities` and `meta`."""
        return self.mongo_connection.database

    @property
    def has_mongo(self) -> bool:
        """Whether MongoDB is there to be asked: a server, or files of an earlier load."""
        return self.mongo_connection.exists

    def check(self, store: Literal["mongo", "mongo to read", "chroma"]) -> None:
        """Raise `StoreError` unless a store can be used: a server answers, a folder can be written. None is started."""
        if store != "chroma":
            self.mongo_connection.check(write=store == "mongo")
        elif self.remote_vectors:
            find_server(str(self.chroma_location))
        elif why := why_not_writable(Path(self.chroma_location).expanduser().absolute()):
            raise StoreError(f"ChromaDB cannot be embedded in {self.chroma_location}: {why}")

    def close(self) -> None:
        """Close both stores and stop an embedded mongod; twice is once."""
        with contextlib.closing(self.mongo_connection):
            self._vectors.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # --- images and their fields ---------------------------------------------------------------------------------

    def add_images(self, documents: Iterable[Mapping[str, Any]]) -> WriteResult:
        """Add images, or fields to images, that did not come from a run.

        Args:
            documents: each with `image_id` and any fields; a top-level field that is None is removed. Documents
                with a `status` are taken for landed ones: a load removes them when Parquet does not have them.

        Returns:
            What was written, and per refused document its id and why: no `image_id`, a top-level field with a dot or
            a leading `$`, over 16 MB, more than 64 bits. The others are written.
        """
        errors: list[tuple[str, str]] = []
        with self._images() as images:
            create_indexes(images)
            result = upsert_images(images, image_fields.check_documents(documents, errors))
        result += WriteResult(errors=tuple(errors))
        for one, reason in result.errors[:10]:
            logger.warning("not added: %s: %s", one, reason)
        return result

    def create_from_csv(self, path: str | Path, fields: Sequence[str] | None = None) -> WriteResult:
        """Add the rows of a CSV as images with fields, or to images that are there; bad rows are told, in `errors`.

        See `stores.mongo.csv_rows.read_rows`. `fields`: only these columns. Raises `ConfigError`.
        """
        errors: list[tuple[str, str]] = []
        file = Path(path).expanduser().absolute()
        rows = list(read_rows(file, errors, check=self._check_new, fields=fields))  # before a server is started
        for line, reason in errors[:10]:
            logger.warning("%s, %s: %s", file, line, reason)
        return WriteResult(errors=tuple(errors)) + (self.add_images(rows) if rows else WriteResult())

    def find_images(
        self, filter: Mapping[str, Any] | None = None, *, limit: int = 0, sort: str | Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Images that match a MongoDB filter, one by one.

        Args:
            filter: such as `{"label": "tabby", "n_faces": {"$gte": 2}}`; all images without.
            limit: at most so many; 0 is no limit.
            sort: `"field"`, falling as `"-field"`, or several; by image_id without.
            fields: only these (and `_id`).

        Raises `ConfigError`: a name that is no field, or an operator that runs code in the server.
        """
        path = self._paths()
        query, order = check_filter(filter, path), image_fields.sort_keys(sort, path)
        projection = {path(check_field(field)): 1 for field in fields} if fields else None
        if limit < 0:
            raise ConfigError(f"limit is {limit}: 0 (none) or more")

        def found() -> Iterator[dict[str, Any]]:  # the checks above are done before the first is asked for
            with self._images() as images:
                yield from images.find(query, projection, limit=limit).sort(order).allow_disk_use(True)

        return found()

    def find(self, field: str, value: Any, *, limit: int = 0) -> Iterator[dict[str, Any]]:
        """Images whose field is `value`, or is a list that holds it; None: those that have none, or null."""
        return self.find_images({check_field(field): {"$eq": value}}, limit=limit)

    def get_image(self, image_id: str) -> dict[str, Any] | None:
        """One image's document, or None."""
        with self._images() as images:
            return images.find_one({"_id": str(image_id)})

    def count_images(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many images match; all without a filter."""
        with self._images() as images:
            return images.count_documents(check_filter(filter, self._paths()))

    def store_field(self, field: str, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> WriteResult:
        """Set one field of many images: image_id -> value, or pairs of them; None removes it.

        Loads leave such fields alone, and `ask --where` knows them.

        Returns:
            What was written. Images that are not in the database are not made: they are in `errors`, and counted in a
            warning.

        Raises `ConfigError`: a name that is no field, or that Pixelbrain keeps itself, for a module of OUT perhaps;
        `StoreError`: values that MongoDB refused, and numpy's arrays, which it could not search; the others are stored.
        """
        self._check_new(check_field(field).split(".")[0])  # before a server is started
        with self._images() as images:
            return image_fields.store_field(images, field, values)

    def get_field(self, field: str, image_ids: Iterable[str] | None = None) -> dict[str, Any]:
        """image_id -> value, of those images that have the field; of all images without `image_ids`."""
        with self._images() as images:
            return image_fields.get_field(images, self._paths()(field), image_ids)

    def aggregate(self, field: str) -> FieldSummary:
        """How many values a field has, how many distinct, and minimum, maximum and mean of the numbers."""
        with self._images() as images:
            return image_fields.summarize(images, field, self._paths()(field))

    def most_common(self, field: str, n: int = 10) -> list[tuple[Any, int]]:
        """The most frequent values of a field with their counts, most frequent first."""
        with self._images() as images:
            return image_fields.most_common(images, self._paths()(field), n)

    def export_csv(self, path: str | Path, fields: Sequence[str] | None = None) -> int:
        """Write one line an image; returns how many. `fields` may be dotted, or "all"; lists are joined with `;`."""
        where = self._paths()
        chosen = None if fields == "all" else {field: where(field) for field in fields or image_fields.CSV_FIELDS}
        with self._images() as images:
            return image_fields.export_csv(images, Path(path), chosen or image_fields.all_fields(images))

    # --- tables of later stages ----------------------------------------------------------------------------------

    def store_derived(
        self, name: Literal["identities", "groups"], among: Sequence[str] | None = None, *, since: str | None = None
    ) -> WriteResult:
        """Write people or groups as OUT has them, in place of what was there, and remember that they are these.

        `among`: the images that came, changed or went; where the documents say what a table of the digest `since` said
        (by default that of now), others are not looked at.
        """
        self.landing.refresh()
        table, digest = DERIVED[name].rows(self.landing), DERIVED[name].digest(self.landing)
        with self.mongo_connection.errors():
            before = derived.repeated(self.mongo["meta"], name)
        if before is None or before.rpartition("-")[0] != (since or digest).rpartition("-")[0]:
            among = None
        result = self.store_identities(table, among) if name == "identities" else self.store_groups(table, among)
        self._remember(name, digest)
        return result

    def store_identities(self, table: pa.Table, among: Sequence[str] | None = None) -> WriteResult:
        """Write who is in which image (rows of `schema.IDENTITY_SCHEMA`), in place of what was there, and their names.

        `among`: in these images alone; others say what the table says. The next load writes those of OUT again.
        """
        names = read_registry(self.landing.storage).said
        return self._store("identities", lambda images: (images, self.mongo["identities"], table, among, names))

    def store_groups(self, table: pa.Table, among: Sequence[str] | None = None) -> WriteResult:
        """Write the visual groups (rows of `schema.GROUP_SCHEMA`), in place of what was there, as above."""
        return self._store("groups", lambda images: (images, table, among))

    def _store(self, name: str, arguments: Callable[[MongoCollection], tuple[Any, ...]]) -> WriteResult:
        self._remember(name, None)
        store = getattr(derived, f"store_{name}")
        with self._images() as images:
            return self.mongo_connection.patiently(lambda: store(*arguments(images)))

    def delete(self) -> None:
        """Drop the MongoDB database and the vector collections. Parquet stays, and a load writes them again."""
        if self.has_mongo:
            with self.mongo_connection.errors():
                self.mongo.client.drop_database(self.mongo.name)
        if self.has_vectors:
            for name in self.vectors.connection.names():
                self.vectors.drop(name)

    # --- vectors -------------------------------------------------------------------------------------------------

    @property
    def vectors(self) -> VectorStore:
        """The ChromaDB collections."""
        return self._vectors.store

    @property
    def chroma_location(self) -> str | Path:
        """Where ChromaDB is: a server's URL, or a folder."""
        return self._vectors.location

    @property
    def has_vectors(self) -> bool:
        """Whether ChromaDB is there to be asked: a server, or files of an earlier load."""
        return self._vectors.exists

    @property
    def remote_vectors(self) -> bool:
        """Whether ChromaDB is a server."""
        return self._vectors.remote

    def store_vectors(
        self, name: str, vectors: Mapping[str, Any] | Iterable[tuple[str, Any]], *, model: str | None = None
    ) -> WriteResult:
        """Store a vector of your own of many images: image_id -> numbers, or pairs of them; None removes it.

        They land in OUT, as a module's do, and are searched by at once: `query_vector_field(name, ...)`, `search --by`,
        `group --by`. A load keeps them, and writes them again with `--rebuild`; that of an image that changes, or goes
        from OUT, goes with it.

        Args:
            name: of these vectors; stored again under it, they replace those of the same images.
            model: what computed them; the name by default.

        Returns:
            What was written; in `errors`, and in a warning, images that have not landed, and what is no vector.

        Raises `ConfigError` (no such name can be, or it is taken, or is of another model's), `LandingError` and
        `OutLockedError`; `StoreError` of ChromaDB, when they have landed, and the next load goes on.
        """
        return self._vectors.put(name, vectors, model)

    def query_vector_field(
        self, collection: Collection, vectors: np.ndarray, n_results: int = 20, where: Mapping[str, Any] | None = None
    ) -> list[list[Match]]:
        """The nearest faces, images or other vectors to each vector, by cosine distance (0 to 2), nearest first.

        Args:
            collection: `faces`, `images`, or a module that has vectors: `mymodule`, `mymodule.field` if it has several.
            vectors: (m, dim), or one (dim,), from the model that `vector_model` names.
            where: a ChromaDB filter on the metadata (faces: image_id, version, score, width_px, sharpness; images:
                version, label; of a module those of them that its struct has).

        Raises `ConfigError` (no such collection, a NaN), `MixedModelsError` (another length), `StoreError` (no load).
        """
        return self._vectors.holding(collection).query(collection, vectors, n_results, where)

    def iter_vectors(self, collection: Collection, batch: int = 5000) -> Iterator[VectorBatch]:
        """All vectors of a collection, `batch` at a time."""
        return self._vectors.holding(collection).iter_vectors(collection, batch)

    def vector_model(self, collection: Collection) -> ModelInfo:
        """Which model computed the vectors. Raises `StoreError`: nothing was loaded yet."""
        return self._vectors.model(collection)

    def behind(self, collection: str) -> str | None:
        """How a collection differs from what landed, by what its last load remembers; None: it does not.

        Reads no vector, and of OUT the ids only. Raises `StoreError` for one that is damaged, or cannot be reached.
        """
        return self._vectors.behind(collection)

    def require_in_step(self, collection: Collection) -> None:
        """Raises `StoreError` if it does not hold what landed, or nothing did: before a table takes another's place."""
        if (why := self.behind(collection)) is not None:
            raise StoreError(f"{why}: `pixelbrain load {self.landing.storage.uri}` first")

    # --- inside --------------------------------------------------------------------------------------------------

    def _check_new(self, name: str) -> None:
        """Raise `ConfigError` for a name that no field of the user's may have."""
        modules = {module for part in self.landing.parts for module in part.modules}
        if "." in check_field(name):
            raise ConfigError(f"{name!r} is not a field of a document: its name has no dots")
        check_name("field", name, modules=modules, questions=self.landing.answer_log.fields())

    def _paths(self) -> Callable[[str], str]:
        """Where documents have what users call so; see `schema.field_path`."""
        questions = frozenset(self.landing.answer_log.fields())
        return lambda name: field_path(name, questions)

    @contextlib.contextmanager
    def _images(self) -> Iterator[MongoCollection]:
        """MongoDB's images; inside it, an error of pymongo is a `StoreError` that names the server."""
        with self.mongo_connection.errors():
            yield self.mongo["images"]

    def _remember(self, name: str, digest: str | None) -> None:
        with self.mongo_connection.errors():
            self.mongo_connection.patiently(lambda: derived.remember(self.mongo["meta"], name, digest))

"""`Database`: MongoDB for fields and ChromaDB for vectors, behind one class."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pymongo
from pymongo.database import Database as MongoDatabase

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.landing.parquet import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.stores import fields as field_queries
from pixelbrain.stores import identities as identity_tables
from pixelbrain.stores import mongo as mongo_store
from pixelbrain.stores.address import is_url, mask_uri
from pixelbrain.stores.embedded import EmbeddedMongo
from pixelbrain.stores.fields import FieldSummary
from pixelbrain.stores.mongo import WriteResult
from pixelbrain.stores.rows import COLLECTION_COLUMNS, Match, VectorBatch

if TYPE_CHECKING:
    from pixelbrain.stores.chroma import VectorStore

__all__ = ["Database", "Match", "VectorBatch"]

Collection = Literal["faces", "images"]


class Database:
    """The two stores of an OUT folder. Each is opened when it is first needed: a search starts no mongod.

    Open it with `Database.open`, and close it, or use it in a `with`. Several in one process share the embedded
    stores; another process is refused (`StoreLockedError`). A server that goes away raises `StoreError`; open the
    database again then, and what was acknowledged is there.
    """

    def __init__(self, landing: Landing, *, mongo: str | None, chroma: str | Path | None) -> None:
        self.landing = landing
        self._mongo_uri = mongo
        self._chroma_location = chroma if chroma is not None else landing.out / "db" / "chroma"
        self._mongo_folder = landing.out / "db" / "mongo"
        self._embedded: EmbeddedMongo | None = None
        self._client: pymongo.MongoClient | None = None
        self._closed = False

    @classmethod
    def open(cls, out: str | Path, *, mongo: str | None = None, chroma: str | Path | None = None) -> Database:
        """The database of an OUT folder.

        Args:
            out: the folder that `pixelbrain run --out` made; need not exist yet.
            mongo: a server's URI, its path the database's name (default `pixelbrain`); a mongod of our own, with
                its files in OUT/db/mongo, when None.
            chroma: a server's `http://HOST:PORT`, or a folder; OUT/db/chroma when None.

        Raises:
            ConfigError: an address that is none.
        """
        if mongo is not None and not mongo.startswith(("mongodb://", "mongodb+srv://")):
            raise ConfigError(f"{mask_uri(mongo)} is not a MongoDB URI: mongodb://HOST:27017/NAME")
        return cls(Landing(out), mongo=mongo, chroma=chroma)

    # --- the stores ----------------------------------------------------------------------------------------------

    @functools.cached_property
    def mongo(self) -> MongoDatabase:
        """The MongoDB database: collections `images`, `identities` and `meta`."""
        self._require_open()
        if self._mongo_uri is None:
            self._embedded = EmbeddedMongo(self._mongo_folder).start()
        try:
            self._client, database = mongo_store.connect(self._mongo_uri or self._embedded_uri())
        except BaseException:
            self._stop_mongo()
            raise
        return database

    @functools.cached_property
    def vectors(self) -> VectorStore:
        """The ChromaDB collections `faces` and `images`."""
        self._require_open()
        from pixelbrain.stores.chroma import VectorStore  # chromadb takes 2 s to import

        return VectorStore(self._chroma_location)

    @property
    def owner(self) -> str:
        """Whose documents and vectors these are, on servers that several OUT folders could share."""
        return str(self.landing.out.resolve())

    @property
    def has_mongo(self) -> bool:
        """Whether MongoDB is there to be asked: a server, or files of an earlier load."""
        return self._mongo_uri is not None or self._mongo_folder.exists()

    @property
    def has_vectors(self) -> bool:
        """Whether ChromaDB is there to be asked: a server, or files of an earlier load."""
        return is_url(self._chroma_location) or Path(self._chroma_location).expanduser().exists()

    @property
    def shared_mongo(self) -> bool:
        """Whether MongoDB is a server that others may write too."""
        return self._mongo_uri is not None

    def mongo_errors(self) -> contextlib.AbstractContextManager[None]:
        """Inside it, an error of pymongo is a `StoreError` that names the server."""
        where = mask_uri(self._mongo_uri) if self._mongo_uri else str(self._mongo_folder)
        return mongo_store.mongo_errors(where)

    def close(self) -> None:
        """Close both stores and stop an embedded mongod; twice is once."""
        self._closed = True
        vectors = self.__dict__.pop("vectors", None)
        self.__dict__.pop("mongo", None)
        try:
            if vectors is not None:
                vectors.close()
        finally:
            self._stop_mongo()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- images and their fields ---------------------------------------------------------------------------------

    def add_images(self, documents: Iterable[Mapping[str, Any]]) -> WriteResult:
        """Add images, or fields to images, that did not come from a run.

        Args:
            documents: each with `image_id` and any fields; a top-level field that is None is removed. Documents
                with a `status` are taken for landed ones: a load removes them when Parquet does not have them.

        Returns:
            What was written, and per refused document (over 16 MB, say) its id and why.

        Raises:
            ConfigError: a document without `image_id`, or a top-level field with a dot or a leading `$`.
        """
        with self.mongo_errors():
            mongo_store.create_indexes(self.mongo["images"])
            return mongo_store.upsert_images(self.mongo["images"], map(_with_id, documents))

    def find_images(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int = 0,
        sort: str | Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Images that match a MongoDB filter, one by one.

        Args:
            filter: such as `{"resnet.label": "tabby", "facenet.n_faces": {"$gte": 2}}`; all images without.
            limit: at most so many; 0 is no limit.
            sort: `"field"`, falling as `"-field"`, or several; by image_id without.
            fields: only these (and `_id`).

        Raises:
            ConfigError: a name that is no field, or an operator that runs code in the server.
        """
        query, order = field_queries.check_filter(filter), field_queries.sort_keys(sort)
        projection = {field_queries.check_field(field): 1 for field in fields} if fields else None
        if limit < 0:
            raise ConfigError(f"limit is {limit}: 0 (none) or more")
        return self._iter_images(query, projection, order, limit)

    def find(self, field: str, value: Any, *, limit: int = 0) -> Iterator[dict[str, Any]]:
        """Images whose field is `value`, or is a list that holds it."""
        return self.find_images({field_queries.check_field(field): {"$eq": value}}, limit=limit)

    def get_image(self, image_id: str) -> dict[str, Any] | None:
        """One image's document, or None."""
        with self.mongo_errors():
            return self.mongo["images"].find_one({"_id": str(image_id)})

    def count_images(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many images match; all without a filter."""
        query = field_queries.check_filter(filter)
        with self.mongo_errors():
            return self.mongo["images"].count_documents(query)

    def store_field(self, field: str, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> WriteResult:
        """Set one field of many images: image_id -> value, or pairs of them; None removes it.

        Images that are not in the database are not made, and counted in the log. Loads leave such fields alone.

        Raises:
            ConfigError: a name that is no field, or that Pixelbrain keeps itself.
            StoreError: values that MongoDB refused; the others are stored.
        """
        field_queries.check_field(field, write=True)  # before a server is started
        with self.mongo_errors():
            return field_queries.store_field(self.mongo["images"], field, values)

    def get_field(self, field: str, image_ids: Iterable[str] | None = None) -> dict[str, Any]:
        """image_id -> value, of those images that have the field; of all images without `image_ids`."""
        with self.mongo_errors():
            return field_queries.get_field(self.mongo["images"], field, image_ids)

    def aggregate(self, field: str) -> FieldSummary:
        """How many values a field has, how many distinct, and minimum, maximum and mean of the numbers."""
        with self.mongo_errors():
            return field_queries.summarize(self.mongo["images"], field)

    def most_common(self, field: str, n: int = 10) -> list[tuple[Any, int]]:
        """The most frequent values of a field with their counts, most frequent first."""
        with self.mongo_errors():
            return field_queries.most_common(self.mongo["images"], field, n)

    def export_csv(self, path: str | Path, fields: Sequence[str] | None = None) -> int:
        """Write one line an image; returns how many. `fields` may be dotted; lists are joined with `;`."""
        chosen = list(fields or field_queries.CSV_FIELDS)
        with self.mongo_errors():
            return field_queries.export_csv(self.mongo["images"], Path(path), chosen)

    # --- vectors -------------------------------------------------------------------------------------------------

    def query_vector_field(
        self,
        collection: Collection,
        vectors: np.ndarray,
        n_results: int = 20,
        where: Mapping[str, Any] | None = None,
    ) -> list[list[Match]]:
        """The nearest faces or images to each vector, by cosine distance (0 to 2), nearest first.

        Args:
            collection: `faces` or `images`.
            vectors: (m, dim), or one (dim,), from the model that `vector_model` names.
            n_results: matches a vector.
            where: a ChromaDB filter on the metadata (faces: image_id, version, score, width_px, sharpness; images:
                version, label).

        Raises:
            MixedModelsError: vectors of another length.
            StoreError: nothing was loaded yet.
        """
        self._require_vectors(collection)
        return self.vectors.query(collection, vectors, n_results, where)

    def iter_vectors(self, collection: Collection, batch: int = 5000) -> Iterator[VectorBatch]:
        """All vectors of a collection, `batch` at a time."""
        self._require_vectors(collection)
        return self.vectors.iter_vectors(collection, batch)

    def vector_model(self, collection: Collection) -> ModelInfo:
        """Which model computed the vectors.

        Raises:
            StoreError: nothing was loaded yet.
        """
        self._require_vectors(collection)
        model = self.vectors.model(collection)
        if model is None:
            raise self._nothing_loaded(collection)
        return model

    # --- tables of later stages ----------------------------------------------------------------------------------

    def store_identities(self, table: pa.Table) -> WriteResult:
        """Write who is in which image (rows of `schema.IDENTITY_SCHEMA`), in place of what was there."""
        with self.mongo_errors():
            return identity_tables.store_identities(self.mongo["images"], self.mongo["identities"], table)

    def store_groups(self, table: pa.Table) -> WriteResult:
        """Write the visual groups (rows of `schema.GROUP_SCHEMA`), in place of what was there."""
        with self.mongo_errors():
            return identity_tables.store_groups(self.mongo["images"], table)

    def delete(self) -> None:
        """Drop the MongoDB database and both vector collections. Parquet stays, and a load writes them again."""
        if self.has_mongo:
            with self.mongo_errors():
                self.mongo.client.drop_database(self.mongo.name)
        if self.has_vectors:
            for name in COLLECTION_COLUMNS:
                self.vectors.drop(name)

    # --- inside --------------------------------------------------------------------------------------------------

    def _iter_images(
        self, query: dict[str, Any], projection: dict[str, int] | None, order: list[tuple[str, int]], limit: int
    ) -> Iterator[dict[str, Any]]:
        with self.mongo_errors():
            yield from self.mongo["images"].find(query, projection, limit=limit).sort(order).allow_disk_use(True)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("this database is closed: open it again with Database.open")

    def _require_vectors(self, collection: str) -> None:
        if not self.has_vectors:  # opening it would make an empty one
            raise self._nothing_loaded(collection)

    def _nothing_loaded(self, collection: str) -> StoreError:
        return StoreError(
            f"there are no vectors of {collection} in {self._chroma_location}: "
            f"`pixelbrain load {self.landing.out}` writes them"
        )

    def _embedded_uri(self) -> str:
        assert self._embedded is not None
        return self._embedded.uri

    def _stop_mongo(self) -> None:
        client, self._client = self._client, None
        embedded, self._embedded = self._embedded, None
        if client is not None:
            client.close()
        if embedded is not None:
            embedded.stop()


def _with_id(document: Mapping[str, Any]) -> dict[str, Any]:
    image_id = document.get("image_id", document.get("_id"))
    if not isinstance(image_id, str) or not image_id:
        raise ConfigError("a document without image_id (its URI, a string)")
    for name in document:
        if name != "_id" and "." in field_queries.check_field(name):
            raise ConfigError(f"the field {name} of {image_id}: give what it holds as a nested document, without dots")
    return {**document, "_id": image_id, "image_id": image_id}

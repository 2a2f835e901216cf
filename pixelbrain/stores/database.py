"""`Database`: MongoDB for fields and ChromaDB for vectors, behind one class."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pixelbrain.errors import ConfigError, StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.schema import ModelInfo
from pixelbrain.storage.base import Storage
from pixelbrain.stores.chroma import health_client as fresh
from pixelbrain.stores.connections import Connections
from pixelbrain.stores.convert import COLLECTION_COLUMNS, Match, VectorBatch
from pixelbrain.stores.meta import GROUP_COLUMNS, IDENTITY_COLUMNS, META_ID, table_digest
from pixelbrain.stores.mongo import fields as field_queries
from pixelbrain.stores.mongo import people as identity_tables
from pixelbrain.stores.mongo.client import create_indexes
from pixelbrain.stores.mongo.documents import WriteResult, shown, upsert_images
from pixelbrain.stores.mongo.fields import FieldSummary

__all__ = ["Database", "Match", "VectorBatch"]

logger = logging.getLogger(__name__)

Collection = Literal["faces", "images"]


class Database(Connections):
    """The two stores of an OUT folder. Each is opened when it is first needed: a search starts no mongod.

    Open it with `Database.open`, and close it, or use it in a `with`. Several in one process share the embedded
    stores; another process is refused (`StoreLockedError`). A server that goes away raises `StoreError`; open the
    database again then, and what was acknowledged is there.
    """

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

        Raises:
            ConfigError: an address that is none, or a database name that MongoDB does not take.
        """
        return cls(Landing(out, s3_endpoint=s3_endpoint), mongo=mongo, chroma=chroma)

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
        with self.mongo_errors():
            create_indexes(self.mongo["images"])
            result = upsert_images(self.mongo["images"], _checked(documents, errors))
        result += WriteResult(errors=tuple(errors))
        for one, reason in result.errors[:10]:
            logger.warning("not added: %s: %s", one, reason)
        return result

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
        images, identities = self.mongo["images"], self.mongo["identities"]
        with self.mongo_errors():
            self._remember("identities", None)  # cut short, it is out of step
            result = self.patiently(lambda: identity_tables.store_identities(images, identities, table))
            self._remember("identities", table_digest(table, IDENTITY_COLUMNS))
        return result

    def store_groups(self, table: pa.Table) -> WriteResult:
        """Write the visual groups (rows of `schema.GROUP_SCHEMA`), in place of what was there."""
        with self.mongo_errors():
            self._remember("groups", None)
            result = self.patiently(lambda: identity_tables.store_groups(self.mongo["images"], table))
            self._remember("groups", table_digest(table, GROUP_COLUMNS))
        return result

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

    def _remember(self, name: str, digest: str | None) -> None:
        """Which table of a later stage the documents repeat."""
        self.patiently(lambda: self.mongo["meta"].update_one({"_id": META_ID}, {"$set": {name: digest}}, upsert=True))

    def _require_vectors(self, collection: str) -> None:
        if not self.has_vectors:  # opening it would make an empty one
            raise self._nothing_loaded(collection)
        if not self.remote_vectors:
            if "vectors" not in self.__dict__:
                fresh.warm_up()  # beside our own import of chromadb
            self.vectors.require_sound(collection)

    def _nothing_loaded(self, collection: str) -> StoreError:
        return StoreError(
            f"there are no vectors of {collection} in {self._chroma_location}: "
            f"`pixelbrain load {self.landing.storage.uri}` writes them"
        )


def _checked(documents: Iterable[Mapping[str, Any]], errors: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The documents with their `_id`; those that can be none go to `errors`."""
    for number, document in enumerate(documents, start=1):
        image_id = document.get("image_id", document.get("_id"))
        if not isinstance(image_id, str) or not image_id:
            errors.append((f"document {number}", "it has no image_id (its URI, a string)"))
            continue
        bad = [name for name in document if name != "_id" and not _is_name(name)]
        if bad:
            why = f"the field {shown(bad[0])!r}: names have no dots, no leading $, and are not empty"
            errors.append((shown(image_id), why))
            continue
        yield {**document, "_id": image_id, "image_id": image_id}


def _is_name(name: Any) -> bool:
    try:
        return "." not in field_queries.check_field(name)
    except ConfigError:
        return False

"""The two stores of an OUT: opened when first needed, watched while in use, closed together."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import pymongo
from pymongo.database import Database as MongoDatabase
from pymongo.errors import PyMongoError

from pixelbrain.config import mask_uri
from pixelbrain.errors import StoreError
from pixelbrain.landing.landing import Landing
from pixelbrain.stores.address import chroma_database, database_name, is_url
from pixelbrain.stores.mongo import client as mongo_store
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.reconnect import ride_out

if TYPE_CHECKING:
    from pixelbrain.stores.chroma.collections import VectorStore

__all__ = ["Connections"]

T = TypeVar("T")
C = TypeVar("C", bound="Connections")


class Connections:
    """MongoDB and ChromaDB of one OUT. Each is opened when it is first needed: a search starts no mongod.

    Args:
        landing: the OUT that they belong to; embedded ones are in `db/` of its local folder.
        mongo: a server's URI; a mongod of our own when None.
        chroma: a server's address or a folder; a folder of our own when None.

    Raises:
        ConfigError: an address that is none, or a database name that MongoDB does not take.
    """

    def __init__(self, landing: Landing, *, mongo: str | None, chroma: str | Path | None) -> None:
        if mongo is not None:
            database_name(mongo)
        if chroma is not None and is_url(chroma):
            chroma_database(str(chroma))
        self.landing = landing
        self._mongo_uri = mongo
        self._chroma_location = chroma if chroma is not None else landing.storage.local / "db" / "chroma"
        self._mongo_folder = landing.storage.local / "db" / "mongo"
        self._embedded: EmbeddedMongo | None = None
        self._client: pymongo.MongoClient | None = None
        self._closed = False

    def __repr__(self) -> str:
        where = f"mongo={self.mongo_name!r}, chroma={mask_uri(str(self._chroma_location))!r}"
        return f"{type(self).__name__}({self.landing.storage.uri!r}, {where})"

    @functools.cached_property
    def mongo(self) -> MongoDatabase:
        """The MongoDB database: collections `images`, `identities` and `meta`."""
        self._require_open()
        if self._mongo_uri is None:
            self._embedded = EmbeddedMongo(self._mongo_folder).start()
        try:
            own = self._mongo_uri is None
            self._client, database = mongo_store.connect(self._mongo_uri or self._embedded_uri(), own=own)
        except BaseException:
            self._stop_mongo()
            raise
        return database

    @functools.cached_property
    def vectors(self) -> VectorStore:
        """The ChromaDB collections `faces` and `images`."""
        self._require_open()
        from pixelbrain.stores.chroma.collections import VectorStore  # chromadb takes 2 s to import

        return VectorStore(self._chroma_location)

    @property
    def owner(self) -> str:
        """Whose documents and vectors these are, on servers that several OUT could share."""
        storage = self.landing.storage
        return str(storage.local.resolve()) if storage.is_local else storage.uri

    @property
    def mongo_name(self) -> str:
        """MongoDB's address for messages, its password masked; or its folder."""
        return mask_uri(self._mongo_uri) if self._mongo_uri else str(self._mongo_folder)

    @property
    def has_mongo(self) -> bool:
        """Whether MongoDB is there to be asked: a server, or files of an earlier load."""
        return self._mongo_uri is not None or self._mongo_folder.exists()

    @property
    def has_vectors(self) -> bool:
        """Whether ChromaDB is there to be asked: a server, or files of an earlier load."""
        return self.remote_vectors or Path(self._chroma_location).expanduser().exists()

    @property
    def shared_mongo(self) -> bool:
        """Whether MongoDB is a server that others may write too."""
        return self._mongo_uri is not None

    @property
    def remote_vectors(self) -> bool:
        """Whether ChromaDB is a server."""
        return is_url(self._chroma_location)

    # --- failure -------------------------------------------------------------------------------------------------

    def mongo_errors(self) -> contextlib.AbstractContextManager[None]:
        """Inside it, an error of pymongo is a `StoreError` that names the server."""
        return mongo_store.mongo_errors(self.mongo_name)

    def patiently(self, step: Callable[[], T]) -> T:
        """Do a step in MongoDB that may be done twice; a server that restarts under it is waited for, see `ride_out`.

        Raises:
            StoreError: a mongod of our own has ended.
            pymongo.errors.PyMongoError: the server stays away, or refused.
        """
        return ride_out(
            step,
            server=f"MongoDB at {self.mongo_name}",
            lost=mongo_store.CONNECTION_LOST,
            answers=self._mongo_answers,
        )

    def _mongo_answers(self) -> bool:
        if self._embedded is not None and not self._embedded.alive():
            raise StoreError(
                f"the mongod of our own in {self._mongo_folder} has ended, killed perhaps (see mongod.log there): the "
                "same command starts it again and goes on"
            )
        try:
            self.mongo.client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    # --- closing -------------------------------------------------------------------------------------------------

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

    def __enter__(self: C) -> C:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("this database is closed: open it again with Database.open")

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

"""MongoDB: connect by URI, indexes, and errors that name the server and the way out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pymongo
from pymongo import ASCENDING, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import ConnectionFailure, CursorNotFound, PyMongoError

from pixelbrain.config import mask_uri
from pixelbrain.errors import StoreError
from pixelbrain.stores.address import database_name

#: What pymongo raises when the server went away. A cursor does not outlive its server.
CONNECTION_LOST: tuple[type[Exception], ...] = (ConnectionFailure, CursorNotFound)

SERVER_SELECTION_TIMEOUT_MS = 5_000
#: A mongod of our own, on this machine, listens or has ended; closing a client waits so long for one that has.
OWN_SELECTION_TIMEOUT_MS = 1_000
#: No single answer takes longer; an aggregate over millions of images takes minutes.
SOCKET_TIMEOUT_MS = 600_000
WRITE_TIMEOUT_MS = 60_000

#: What the queries of the CLI, the gallery and `Database` look up.
INDEXES = ("status", "sha256", "group_id", "identities", "resnet.label", "facenet.n_faces", "facenet.faces.face_id")


@contextlib.contextmanager
def mongo_errors(where: str) -> Iterator[None]:
    """Turn pymongo's errors into `StoreError`; `where` is a masked URI, or what the user calls the server."""
    try:
        yield
    except CONNECTION_LOST as error:
        raise StoreError(
            f"MongoDB at {where} does not answer: {_reason(error)}; when it runs, the same command goes on"
        ) from None
    except PyMongoError as error:
        raise StoreError(f"MongoDB at {where}: {_reason(error)}") from None


def connect(uri: str, *, own: bool = False) -> MongoDatabase:
    """The database that the URI names, of a new client (`.client`, to be closed) whose server was seen to answer.

    It has write concern w="majority", j=True: what is acknowledged survives a crash.
    `own`: it is a mongod of our own, which was seen to answer.

    Raises:
        StoreError: no answer within 5 s, or not let in. The password is masked.
        ConfigError: not a URI, or a database name that MongoDB does not take.
    """
    masked, name = mask_uri(uri), database_name(uri)
    try:
        client: pymongo.MongoClient = pymongo.MongoClient(
            uri,
            appname="pixelbrain",
            serverSelectionTimeoutMS=OWN_SELECTION_TIMEOUT_MS if own else SERVER_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            socketTimeoutMS=SOCKET_TIMEOUT_MS,
        )
    except (PyMongoError, ValueError) as error:
        # the message may quote the URI: only its kind is safe to repeat
        raise StoreError(
            f"MongoDB at {masked}: {type(error).__name__}; a URI looks like mongodb://USER:PASSWORD@HOST:27017/NAME, "
            "with special characters of the password percent-encoded"
        ) from None
    try:
        with mongo_errors(masked):
            client.admin.command("ping")
            client[name].command("dbStats")  # a ping needs no login
    except StoreError:
        client.close()
        raise
    concern = WriteConcern(w="majority", j=True, wtimeout=WRITE_TIMEOUT_MS)
    return client.get_database(name, write_concern=concern)


def create_indexes(images: Collection) -> None:
    """The indexes that the queries need; those already there cost nothing."""
    images.create_indexes([pymongo.IndexModel([(field, ASCENDING)]) for field in INDEXES])


def _reason(error: PyMongoError) -> str:
    """What happened, on one line; pymongo goes on about its topology, for a screenful."""
    text = str(error).split(", Timeout:")[0].split(" (configured timeouts:")[0]
    return " ".join(text.split(", full error:")[0].split())

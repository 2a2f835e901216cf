"""MongoDB of an OUT, a server or a mongod of our own: opened when needed, waited for when it restarts, closed once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pymongo import ReadPreference, WriteConcern
from pymongo.database import Database as MongoDatabase
from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from pixelbrain.config import mask_uri
from pixelbrain.errors import StoreError
from pixelbrain.storage.local import why_not_writable
from pixelbrain.stores.address import database_name
from pixelbrain.stores.load_record import RECORD_ID
from pixelbrain.stores.mongo.causes import (
    NO_RIGHT,
    missing_rights,
    no_right,
    open_client,
    read_uri,
    why_no_answer,
    why_not_let_in,
    why_not_primary,
)
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.mongo.mongod import find_mongod
from pixelbrain.stores.reconnect import ride_out

#: What pymongo raises when the server went away. A cursor does not outlive its server.
CONNECTION_LOST: tuple[type[Exception], ...] = (ConnectionFailure, CursorNotFound)

SERVER_SELECTION_TIMEOUT_MS = 5_000
#: A mongod of our own, on this machine, listens or has ended; closing a client waits so long for one that has.
OWN_SELECTION_TIMEOUT_MS = 1_000
#: No single answer takes longer; an aggregate over millions of images takes minutes.
SOCKET_TIMEOUT_MS = 600_000
WRITE_TIMEOUT_MS = 60_000

T = TypeVar("T")


class MongoConnection:
    """The client of one MongoDB database, and the mongod behind it where it is our own.

    Args:
        uri: a server's; None: a mongod of our own.
        folder: of the files of our own mongod.

    Raises:
        ConfigError: an address that is none, or a database name that MongoDB does not take.
    """

    def __init__(self, uri: str | None, folder: Path) -> None:
        if uri is not None:
            database_name(uri)
        #: Whether it is a server that others may write too.
        self.shared = uri is not None
        #: The address for messages, its password masked; or the folder.
        self.name = mask_uri(uri) if uri is not None else str(folder)
        self.embedded: EmbeddedMongo | None = None
        self._uri = uri
        #: Of the files of our own mongod, whether it has any or not.
        self.folder = folder
        self._left = folder / "loaded.json"
        self._database: MongoDatabase | None = None
        self._closed = False

    def check(self, *, write: bool = False) -> None:
        """Raise `StoreError` unless the server answers and lets us in, or one of our own could be started: none is.

        With `write` it has to let us write, too.
        """
        if self._uri is not None:
            connect(self._uri, write=write).client.close()
            return
        find_mongod()
        if why := why_not_writable(self.folder):
            raise StoreError(f"MongoDB cannot be embedded in {self.folder}: {why}")

    @property
    def exists(self) -> bool:
        """Whether there is something to be asked: a server, or files of an earlier load."""
        return self.shared or self.folder.exists()

    @property
    def database(self) -> MongoDatabase:
        """The MongoDB database: collections `images`, `identities` and `meta`."""
        if self._closed:
            raise StoreError("this database is closed: open it again with Database.open")
        if self._database is None:
            if self._uri is None:
                self.embedded = EmbeddedMongo(self.folder)
                self._left.unlink(missing_ok=True)  # until it is stopped in order, nobody knows what it will hold
            try:
                uri = self.embedded.uri if self.embedded is not None else str(self._uri)
                self._database = connect(uri, own=not self.shared)
            except BaseException:
                self._stop()
                raise
        return self._database

    def left(self) -> dict[str, Any] | None:
        """What a load remembers in a mongod of our own, as it was when that was stopped; no mongod is started for it.

        None: it is a server, or a mongod that runs, or was killed: ask it.
        """
        try:
            return json.loads(self._left.read_text()) if not self.shared and self._database is None else None
        except (OSError, ValueError):
            return None

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Inside it, an error of pymongo is a `StoreError` that names the server."""
        return mongo_errors(self.name)

    def patiently(self, step: Callable[[], T]) -> T:
        """Do a step that may be done twice; a server that restarts under it is waited for, see `ride_out`.

        Raises:
            StoreError: a mongod of our own has ended.
            pymongo.errors.PyMongoError: the server stays away, or refused.
        """
        return ride_out(step, server=f"MongoDB at {self.name}", lost=CONNECTION_LOST, answers=self._answers)

    def close(self) -> None:
        """Close the client and stop a mongod of our own; twice is once."""
        self._closed = True
        self._stop()

    def _stop(self) -> None:
        database, self._database = self._database, None
        embedded, self.embedded = self.embedded, None
        if database is not None:
            if embedded is not None and embedded.is_mine_alone:
                with contextlib.suppress(PyMongoError, OSError):  # then it is asked itself
                    loaded = database["meta"].find_one({"_id": RECORD_ID}) or {}
                    self._left.write_text(json.dumps(loaded))
            database.client.close()
        if embedded is not None:
            embedded.stop()

    def _answers(self) -> bool:
        if self.embedded is not None and not self.embedded.alive():
            raise StoreError(
                f"the mongod of our own in {self.folder} has ended, killed perhaps (see mongod.log there): the "
                "same command starts it again and goes on"
            )
        try:
            self.database.client.admin.command("ping")
        except PyMongoError:
            return False
        return True


def connect(uri: str, *, own: bool = False, write: bool = False) -> MongoDatabase:
    """The database that the URI names, of a new client (`.client`, to be closed) whose server was seen to answer.

    It has write concern w="majority", j=True: what is acknowledged survives a crash; and reads from the primary, which
    alone has what was just written. Timeouts that the URI names are kept.

    Args:
        own: it is a mongod of our own, which was seen to answer.
        write: see that the user may write, too.

    Raises:
        StoreError: no answer within 5 s, not let in, or no rights: each cause with its way out. No password is shown.
        ConfigError: not a URI, or a database name that MongoDB does not take.
    """
    masked, name, timeout_ms = mask_uri(uri), database_name(uri), SERVER_SELECTION_TIMEOUT_MS
    read = read_uri(uri, timeout_s=timeout_ms / 1000)
    given = {
        "serverSelectionTimeoutMS": OWN_SELECTION_TIMEOUT_MS if own else timeout_ms,
        "connectTimeoutMS": timeout_ms,
        "socketTimeoutMS": SOCKET_TIMEOUT_MS,
        "appname": "pixelbrain",
    }
    given = {option: value for option, value in given.items() if option.lower() not in read["options"]}
    client = open_client(uri, given)
    try:
        client.admin.command("ping")
        client[name]["meta"].find_one({}, {"_id": 1})  # a ping needs no login
        why = (missing_rights(client, name) or why_not_primary(client, name)) if write else None
    except ServerSelectionTimeoutError as error:
        why = f"does not answer: {why_no_answer(client, read) or _reason(error)}"
    except NotPrimaryError as error:  # a member that is not ready to be read
        why = why_not_primary(client, name) or _reason(error)
    except OperationFailure as error:
        why = why_not_let_in(error, read) or _refused(error, name)
    except PyMongoError as error:
        why = _reason(error)
    if why is None:
        concern = WriteConcern(w="majority", j=True, wtimeout=WRITE_TIMEOUT_MS)
        return client.get_database(name, write_concern=concern, read_preference=ReadPreference.PRIMARY)
    client.close()
    colon = "" if why.startswith("does not answer") else ":"
    raise StoreError(f"MongoDB at {masked}{colon} {why}")


@contextlib.contextmanager
def mongo_errors(where: str) -> Iterator[None]:
    """Turn pymongo's errors into `StoreError`; `where` is a masked URI, or what the user calls the server."""
    try:
        yield
    except CONNECTION_LOST as error:
        raise StoreError(
            f"MongoDB at {where} does not answer: {_reason(error)}; when it runs, the same command goes on"
        ) from None
    except OperationFailure as error:
        raise StoreError(f"MongoDB at {where}: {_refused(error, 'that the URI names')}") from None
    except PyMongoError as error:
        raise StoreError(f"MongoDB at {where}: {_reason(error)}") from None


def _refused(error: OperationFailure, name: str) -> str:
    return no_right(name) if error.code == NO_RIGHT else _reason(error)


def _reason(error: Exception) -> str:
    """What happened, on one line; pymongo goes on about its topology, for a screenful."""
    text = str(error).split(", Timeout:")[0].split(" (configured timeouts:")[0]
    return " ".join(text.split(", full error:")[0].split())

"""The files of a mongod of our own, written anew: MongoDB's keep what was deleted, in free blocks and in the journal.

All of its databases are copied, as users keep fields and documents of their own there. Killed at any point, the folder
holds the old files or the new ones, and the next call goes on.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from pixelbrain.errors import StoreError
from pixelbrain.locks.file import FolderLock
from pixelbrain.stores.mongo.connection import mongo_errors
from pixelbrain.stores.mongo.embedded import EmbeddedMongo
from pixelbrain.stores.mongo.mongod import new_files, take_new_files
from pixelbrain.stores.mongo.upsert import batches

_ITS_OWN = ("admin", "config", "local")  # databases of mongod
_LEFT = "loaded.json"  # see `MongoConnection.left`


def write_files_anew(folder: Path) -> None:
    """Copy what a stopped mongod of our own holds into new files, and remove the old ones.

    Takes the room of both for a while: the documents, and a journal of 50 MB or more, twice.

    Raises:
        StoreLockedError: another process has it open.
        StoreError: another Database of this process has, or it cannot be copied.
    """
    lock = FolderLock(folder, "the embedded MongoDB")
    new, old = new_files(folder), folder.with_name(f"{folder.name}.old")
    with lock:
        if lock.holders() > 1:
            raise StoreError(f"MongoDB in {folder} is in use: close it elsewhere, and run the same command again")
        try:
            take_new_files(folder)
            _remove(new, old)
            if not folder.exists():
                return
            _copy(folder, new)
            folder.rename(old)
            new.rename(folder)
            _remove(new, old)
        except OSError as error:
            raise StoreError(f"cannot replace {folder}: {error.strerror or error}") from None


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
        for name in (f"{folder.name}.lock", f"{folder.name}.owner"):
            folder.with_name(name).unlink(missing_ok=True)


def _copy(folder: Path, new: Path) -> None:
    with _client(folder) as source, _client(new) as target:
        for name in source.list_database_names():
            if name not in _ITS_OWN:
                _copy_database(source[name], target[name])
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(folder / _LEFT, new / _LEFT)


@contextlib.contextmanager
def _client(folder: Path) -> Iterator[pymongo.MongoClient]:
    with EmbeddedMongo(folder) as mongod, pymongo.MongoClient(mongod.uri) as client, mongo_errors(str(folder)):
        yield client


def _copy_database(source: Database, target: Database) -> None:
    for found in source.list_collections():
        name = found["name"]
        if name.startswith("system."):
            continue
        copy = target.create_collection(name, **found.get("options", {}))
        if found["type"] == "collection":
            _copy_documents(source[name], copy)
            for index in source[name].list_indexes():
                if index["name"] != "_id_":
                    options = {key: value for key, value in index.items() if key not in ("v", "key", "ns")}
                    copy.create_index([*index["key"].items()], **options)


def _copy_documents(source: Collection, target: Collection) -> None:
    raw = CodecOptions(document_class=RawBSONDocument)  # whatever is in them, as it is
    for batch in batches(source.with_options(raw).find()):
        target.with_options(raw).insert_many(batch, ordered=False)

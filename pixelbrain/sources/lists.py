"""Images that somebody named: one by one, or in a list file, a URI a line or in a column of a table."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from pixelbrain.ahead import map_ahead
from pixelbrain.errors import ReadError, SourceError
from pixelbrain.schema import UNKNOWN_VERSION
from pixelbrain.sources.archives.parquet import LIST_COLUMNS, plain_column
from pixelbrain.sources.base import ImageSource, ManifestRow, is_image_name, manifest_table, rows_of_tables
from pixelbrain.sources.local import FILE_SCHEME, stat_version, uri_to_path
from pixelbrain.sources.passed_over import IN_RESULTS, NAMELESS, REPEATED
from pixelbrain.sources.places import image_uri
from pixelbrain.sources.results import Outs
from pixelbrain.sources.web.read import look_web
from pixelbrain.sources.web.urls import is_web

_KEYS = ("s3:", "s3a:", "gs:", "az:")  # schemes of keys
_LOOKS = 64  # at a time, of all hosts

_DELIMITERS = ",;\t"  # spreadsheets write the second one where a comma is the decimal point
_HEAD_LINES = 100  # of a .jsonl, in which keys may be left out: they say which columns there are


class NamedImages(ImageSource):
    """Images that are named one by one: s3:// URIs, https:// URLs, file:// URIs and paths.

    One that does not exist is listed too, and fails as a row. An image that stands twice, in whatever spelling, is one
    image. What is hidden is listed, as somebody named it; what is in OUT is not.
    """

    lists_read_versions = False
    what = "images by their names"

    def __init__(self, names: Sequence[str] = (), *, outs: Iterable[str] = ()) -> None:
        super().__init__()
        self._names, self._outs = names, tuple(outs)
        self._folder = ""  # from which relative paths start

    def list_images(self) -> Iterator[pa.Table]:
        """The images in the order in which they are named."""
        return (manifest_table(_looked_at(rows)) for rows in rows_of_tables(self._rows()))

    def covers(self, image_id: str) -> bool:
        """Never: what is not named is not gone for that, lists are made for a part of the images."""
        return False

    def _entries(self) -> Iterator[tuple[str, str]]:
        """What names each image, and a version, or ""."""
        return ((name, "") for name in self._names)

    def _uri(self, entry: str) -> str:
        """What an entry names: blanks around it are none of it, unless a file is called so, or they end a key.

        A URL that is none is listed, too, and fails as a row.
        """
        bare = entry.strip()
        try:
            uri = image_uri(entry, self._folder)
            if entry == bare or (uri.startswith(FILE_SCHEME) and os.path.lexists(uri_to_path(uri))):
                return uri
            return image_uri(entry.lstrip() if bare.startswith(_KEYS) else bare, self._folder)
        except SourceError:
            if "@" in entry:  # a password would land
                raise
            return bare

    def _rows(self) -> Iterator[ManifestRow]:
        outs = Outs(self._outs)
        seen: set[str] = set()
        for number, (entry, version) in enumerate(self._entries(), 1):
            try:
                uri = self._uri(entry)
            except SourceError as error:
                raise SourceError(f"of the images that are named, number {number:,}: {error}") from None
            if uri in seen:
                self.passed_over.add(REPEATED)
                continue
            seen.add(uri)
            path = uri_to_path(uri) if uri.startswith(FILE_SCHEME) else None
            if outs.hold_file(path) if path else outs.hold_uri(uri):
                self.passed_over.add(IN_RESULTS)
                continue
            size = None
            if path:
                try:
                    found = os.stat(path)
                    version, size = version or stat_version(found), found.st_size
                except (OSError, ValueError):
                    version = version or "unreadable"
            yield uri, version or UNKNOWN_VERSION, size


def _looked_at(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """With the versions of what is on the web, several of which are asked for at a time."""

    def is_to_be(row: ManifestRow) -> bool:
        return is_web(row[0]) and row[1] == UNKNOWN_VERSION

    found = map_ahead(_look, filter(is_to_be, rows), threads=_LOOKS, ahead=_LOOKS, name="look")
    return [next(found) if is_to_be(row) else row for row in rows]


def _look(row: ManifestRow) -> ManifestRow:
    """A row with the version of what its URL names; where the server does not say it, it counts as unchanged."""
    try:
        return (row[0], *look_web(row[0]))
    except ReadError:
        return row


class ManifestSource(NamedImages):
    """A list file (.txt, .csv, .tsv, .jsonl, .parquet); relative paths start at its own folder.

    A `version` column says which version of an object is meant; without it a local file's time and size serve, a URL
    is asked for its own, and an object in S3 counts as unchanged. In a .txt, a line that begins with # is a comment,
    unless a file is called so.

    Args:
        column: of all but a .txt, the one that names the images; by default that of `LIST_COLUMNS` which it has.
    """

    what = "a list file"

    def __init__(self, path: str | Path, *, column: str | None = None, outs: Iterable[str] = ()) -> None:
        super().__init__(outs=outs)
        self.path = Path(path).expanduser().absolute()
        self._folder = str(self.path.parent)
        self._column = column

    def list_images(self) -> Iterator[pa.Table]:
        """The images in the list's order."""
        if not self.path.is_file():
            raise SourceError(f"no such list file: {self.path}")
        return super().list_images()

    def _is_comment(self, line: str) -> bool:
        """Whether a line begins with #, and names no file that is there: photos are called #1.jpg, too."""
        return line.startswith("#") and not os.path.lexists(uri_to_path(self._uri(line)))

    def _entries(self) -> Iterator[tuple[str, str]]:
        suffix = self.path.suffix.lower()
        try:
            if suffix == ".parquet":
                yield from self._parquet()
            elif suffix in (".csv", ".tsv"):
                yield from self._csv("\t" if suffix == ".tsv" else _DELIMITERS)
            elif suffix in (".jsonl", ".ndjson"):
                yield from self._jsonl()
            else:
                with self._open(newline=None) as lines:
                    for line in (line.rstrip("\r\n") for line in lines):
                        if line.strip() and not self._is_comment(line):
                            yield line, ""
        except UnicodeError:
            raise SourceError(f"the list {self.path} is no UTF-8 text: save it as UTF-8") from None
        except (OSError, ValueError, pa.ArrowException, csv.Error) as error:
            raise SourceError(f"cannot read the list {self.path}: {' '.join(str(error).split())}") from None

    def _open(self, newline: str | None) -> IO[str]:
        with open(self.path, "rb") as file:
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # the "Unicode text" of spreadsheets
        return open(self.path, encoding="utf-16" if wide else "utf-8-sig", newline=newline)

    def _csv(self, delimiters: str) -> Iterator[tuple[str, str]]:
        with self._open(newline="") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=self._delimiter(header, delimiters))
            name, version = self._columns(reader.fieldnames or ())
            yield from self._named(name, ((row[name], row[version] if version else "") for row in reader))

    def _delimiter(self, header: str, known: str) -> str:
        """The first by which a column is there that names images; else the one that stands most often."""
        wanted = LIST_COLUMNS if self._column is None else (plain_column(self._column),)
        for one in known:
            if any(plain_column(name) in wanted for name in next(csv.reader([header], delimiter=one), [])):
                return one
        return max(known, key=header.count)

    def _jsonl(self) -> Iterator[tuple[str, str]]:
        with self._open(newline=None) as lines:
            rows = self._objects(lines)
            head = list(itertools.islice(rows, _HEAD_LINES))
            name, version = self._columns([*dict.fromkeys(itertools.chain.from_iterable(head))])
            every = itertools.chain(head, rows)
            yield from self._named(name, ((row.get(name), row.get(version) if version else "") for row in every))

    def _objects(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise SourceError(f"{self.path}, line {number:,} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise SourceError(f'{self.path}, line {number:,} is no object, as {{"url": "https://..."}} is one')
            yield row

    def _parquet(self) -> Iterator[tuple[str, str]]:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self.path)
        name, version = self._columns(file.schema_arrow.names)
        for batch in file.iter_batches(columns=[name, *([version] if version else [])]):
            # a version may be of whatever type
            versions = batch[version].cast(pa.string()).to_pylist() if version else [""] * len(batch)
            yield from self._named(name, zip(batch[name].to_pylist(), versions, strict=True))

    def _columns(self, names: Sequence[str]) -> tuple[str, str | None]:
        """The column that names the images, and that of their versions, if there is one."""
        every = ", ".join(names)
        if not names:
            raise SourceError(f"the list {self.path} is empty: its first line has no columns")
        versions = [name for name in names if plain_column(name) == "version"]
        if self._column is not None:
            # as it is written, or else as people write it
            found = [n for n in names if n == self._column] or [
                n for n in names if plain_column(n) == plain_column(self._column)
            ]
            if not found:
                raise SourceError(f"{self.path} has no column `{self._column}`; its columns are: {every}")
        else:
            found = [name for name in names if plain_column(name) in LIST_COLUMNS]
            if not found:
                headless = any(map(is_image_name, names))
                way_out = "a first line that names the columns is missing, or call it .txt, with a path or URL a line"
                raise SourceError(
                    f"{self.path} has no column `uri`, `url` or `path`; its columns are: {every}; "
                    f"{way_out if headless else '--column says which one names the images'}"
                )
        if len(found) > 1 or len(versions) > 1:
            which = found if len(found) > 1 else versions
            way_out = "--column says which one" if len(set(which)) > 1 and len(found) > 1 else "rename one of them"
            raise SourceError(f"{self.path} has the columns {' and '.join(f'`{n}`' for n in which)}: {way_out}")
        return found[0], next(iter(versions), None)

    def _named(self, column: str, rows: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
        for name, version in rows:
            if name is None or not (name := self._text(column, name)).strip():
                self.passed_over.add(NAMELESS)
            else:
                yield name, "" if version is None else str(version)

    def _text(self, column: str, uri: Any) -> str:
        if isinstance(uri, bytes):  # a path is bytes, of whatever encoding; a URI is text
            return uri.decode(errors="replace") if b"://" in uri else os.fsdecode(uri)
        if not isinstance(uri, str):
            found = f"{str(uri)[:40]!r}, of type {type(uri).__name__}"
            raise SourceError(f"the column `{column}` of {self.path} holds {found}: it holds paths or URIs, as text")
        return uri

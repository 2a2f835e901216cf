"""Images named in a list file: .txt (a URI a line), .csv or .parquet (a `uri` column)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from pixelbrain.errors import SourceError
from pixelbrain.sources.base import ImageSource, manifest_tables
from pixelbrain.sources.local import FILE_SCHEME, stat_version, uri_to_path
from pixelbrain.sources.passed_over import IN_RESULTS, NAMELESS, REPEATED
from pixelbrain.sources.places import image_uri
from pixelbrain.sources.results import Outs


class ManifestSource(ImageSource):
    """A list of s3:// URIs, file:// URIs and paths (relative ones start at the list's own folder).

    A `version` column says which version of an object is meant; without it a local file's time and size serve,
    and an object in S3 counts as unchanged. An image that stands twice, in whatever spelling, is one image. In a
    .txt, a line that begins with # is a comment, unless a file is called so. What is hidden is listed, as somebody
    named it; what is in OUT is not.

    Args:
        path: of the list.
        outs: folders and prefixes of results, which are never listed.
    """

    lists_read_versions: ClassVar[bool] = False

    def __init__(self, path: str | Path, *, outs: Iterable[str] = ()) -> None:
        super().__init__()
        self._outs = tuple(outs)
        self.path = Path(path).expanduser().absolute()

    def list_images(self) -> Iterator[pa.Table]:
        """The listed images in the list's order; one that does not exist is listed too, and fails as a row."""
        if not self.path.is_file():
            raise SourceError(f"no such list file: {self.path}")
        return manifest_tables(self._rows())

    def covers(self, image_id: str) -> bool:
        """Never: what is not in a list is not gone for that, lists are made for a part of the images."""
        return False

    def _rows(self) -> Iterator[tuple[str, str, int | None]]:
        outs = Outs(self._outs)
        seen: set[str] = set()
        for entry, version in self._entries():
            uri = self._uri(entry)
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
            yield uri, version or "listed", size

    def _uri(self, entry: str) -> str:
        return image_uri(entry, str(self.path.parent))

    def _is_comment(self, line: str) -> bool:
        """Whether a line begins with #, and names no file that is there: photos are called #1.jpg, too."""
        return line.startswith("#") and not os.path.lexists(uri_to_path(self._uri(line)))

    def _entries(self) -> Iterator[tuple[str, str]]:
        suffix = self.path.suffix.lower()
        try:
            if suffix == ".parquet":
                yield from self._parquet()
            elif suffix == ".csv":
                yield from self._csv()
            else:
                with open(self.path, encoding="utf-8-sig") as lines:
                    for line in (line.rstrip("\r\n") for line in lines):
                        if line.strip() and not self._is_comment(line):
                            yield line, ""
        except (OSError, ValueError, pa.ArrowException, csv.Error) as error:
            raise SourceError(f"cannot read the list {self.path}: {' '.join(str(error).split())}") from None

    def _csv(self) -> Iterator[tuple[str, str]]:
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            self._check_columns(reader.fieldnames or ())
            yield from self._named(reader)

    def _parquet(self) -> Iterator[tuple[str, str]]:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self.path)
        names = file.schema_arrow.names
        self._check_columns(names)
        for batch in file.iter_batches(columns=[n for n in ("uri", "version") if n in names]):
            if "version" in names:  # of whatever type
                place = batch.schema.get_field_index("version")
                batch = batch.set_column(place, "version", batch["version"].cast(pa.string()))
            yield from self._named(batch.to_pylist())

    def _check_columns(self, names: Sequence[str]) -> None:
        if "uri" not in names:
            raise SourceError(f"{self.path} has no column `uri`; its columns are: {', '.join(names)}")

    def _named(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        for row in rows:
            uri = row["uri"]
            if uri is None or not len(uri := self._text(uri)):
                self.passed_over.add(NAMELESS)
            else:
                yield uri, row.get("version") or ""

    def _text(self, uri: Any) -> str:
        if isinstance(uri, bytes):  # a path is bytes, of whatever encoding; a URI is text
            return uri.decode(errors="replace") if b"://" in uri else os.fsdecode(uri)
        if not isinstance(uri, str):
            found = f"{str(uri)[:40]!r}, of type {type(uri).__name__}"
            raise SourceError(f"the column `uri` of {self.path} holds {found}: it holds paths or URIs, as text")
        return uri

"""The images in archives: members of tar files and rows of Parquet files, several archives at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from pixelbrain.ahead import map_ahead
from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.archives.names import is_parquet_name, member_uri, split_member
from pixelbrain.sources.archives.parquet import parquet_members
from pixelbrain.sources.archives.ranged import open_ranged
from pixelbrain.sources.archives.read import member_version
from pixelbrain.sources.archives.tar import tar_members
from pixelbrain.sources.base import ImageSource, ManifestRow, is_image_name, manifest_tables, one_line
from pixelbrain.sources.passed_over import HIDDEN_FILE, IN_ARCHIVE, REPEATED, PassedOver, is_hidden

#: Archives whose headers are read at the same time: each header in S3 is a request, which waits for the one before.
_AHEAD = 16


class _Listed(NamedTuple):
    archive: str
    version: str
    rows: list[ManifestRow]
    passed_over: PassedOver
    damage: str  # what is wrong with it


class ArchiveSource(ImageSource):
    """Images in the archives that another source finds.

    What is not called like an image (the .json, .txt and .cls of webdataset) is passed over. An archive that cannot be
    read, or not to its end, is a row of its own, which fails with the reason, behind the rows of what is whole.

    Args:
        alone: it is the only one, and named: if nothing of it can be read, nothing can be listed.
    """

    def __init__(
        self,
        files: ImageSource,
        *,
        alone: bool = False,
        hidden: bool = False,
        column: str | None = None,
        s3_endpoint: str | None = None,
    ) -> None:
        super().__init__()
        self._column = column
        self.what = f"images in archives: {files.what}"
        self._files, self._alone, self._hidden, self._endpoint = files, alone, hidden, s3_endpoint
        self._damaged: set[str] = set()

    def list_images(self) -> Iterator[pa.Table]:
        """The images in the order of the archives and their members."""
        self._files.passed_over = self.passed_over
        return manifest_tables(self._rows(self._files.list_images()))

    def covers(self, image_id: str) -> bool:
        """Whether it is in one of the archives; of one that is damaged, nothing is known."""
        member = split_member(image_id)
        return member is not None and member[1] not in self._damaged and self._files.covers(member[1])

    def _rows(self, tables: Iterable[pa.Table]) -> Iterator[ManifestRow]:
        archives = (row for table in tables for row in zip(*table.to_pydict().values(), strict=True))
        for listed in map_ahead(self._list, archives, threads=_AHEAD, ahead=_AHEAD, name="archive"):
            for kind, count in listed.passed_over.items():
                self.passed_over[kind] = self.passed_over.get(kind, 0) + count
            yield from listed.rows
            if listed.damage:
                if self._alone and not listed.rows:
                    raise SourceError(f"{one_line(listed.archive)}: {listed.damage}")
                self._damaged.add(listed.archive)
                yield member_uri(_kind(listed.archive), listed.archive, ""), listed.version, None

    def _list(self, row: ManifestRow) -> _Listed:
        archive = row[0]
        found = _Listed(archive, row[1], [], PassedOver(), "")
        seen: set[str] = set()
        try:
            with open_ranged(archive, s3_endpoint=self._endpoint) as (file, version):
                if _kind(archive) == "parquet":
                    names = parquet_members(file, self._column)
                    return found._replace(rows=[(member_uri("parquet", archive, one), version, None) for one in names])
                for name, part in tar_members(file):
                    if not self._hidden and any(map(is_hidden, name.split("/"))):
                        found.passed_over.add(HIDDEN_FILE)
                    elif not is_image_name(name):
                        found.passed_over.add_file(name.rpartition("/")[2])
                    elif part is None:
                        found.passed_over.add(IN_ARCHIVE)
                    elif name in seen:
                        found.passed_over.add(REPEATED)
                    else:
                        seen.add(name)
                        found.rows.append((member_uri("tar", archive, name), member_version(version, part), part.size))
        except SourceError as error:
            raise SourceError(f"{one_line(archive)}: {error}") from None
        except ReadError as error:
            return found._replace(damage=str(error))
        return found


def _kind(archive: str) -> str:
    return "parquet" if is_parquet_name(archive) else "tar"

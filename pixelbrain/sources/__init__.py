"""Lists images on disk, in S3 or in a list file, and reads their bytes.

| what | file | role |
| --- | --- | --- |
| `ImageBytes` | base | what a source is: a list of image URIs with their versions, and the bytes behind a URI |
| `ManifestSource` | lists | images that are named one by one, or in a list file |
| `LocalSource` | local | images on this machine's disk: a folder, searched with everything below it, or one file |
| `BucketSource` | bucket | images in a bucket, wherever it is: which of its keys are meant |
| `S3Source` | s3 | images in S3, listed in pages; the bytes of an object, or a URL for who may fetch it |
| `CloudSource` | cloud | images in Google Cloud Storage and Azure Blob Storage, by obstore |
| `SeveralSources` | several | several sources as one, each image once |
| `Glob` | globs | which of what is below a folder or a prefix is meant, by names with wildcards; what braces mean |
| `ArchiveSource` | archives/ | images inside other files: members of tar files, read by their ranges |
| `read_web` | web/ | images behind https:// URLs, with a limit a host |
| `find_gone` | gone | which images are certainly not there any more |
| `image_uri` | places | what a path or a URI names: one id a file, however it is written; what is no source |
| `PassedOver` | passed_over | what a listing passes over, counted by kind; what counts as hidden |
| `Outs` | results | folders of results, which hold no photo: this run's OUT by any of its names, and others' |
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pixelbrain.errors import ReadError, SourceError, SourceGoneError
from pixelbrain.sources.archives.names import is_archive_name, is_parquet_name, local_path, split_member
from pixelbrain.sources.archives.parquet import has_images
from pixelbrain.sources.archives.read import read_member
from pixelbrain.sources.archives.source import ArchiveSource
from pixelbrain.sources.base import ImageBytes, ImageSource, is_image_name, is_list_name, one_line
from pixelbrain.sources.cloud import CLOUD_SCHEMES, CloudSource, read_cloud
from pixelbrain.sources.globs import Flat, Glob, expand_braces, is_glob
from pixelbrain.sources.lists import ManifestSource, NamedImages
from pixelbrain.sources.local import FILE_SCHEME, LocalSource, read_local
from pixelbrain.sources.places import anchored, check_name, check_source, image_uri, normal_source, one_name
from pixelbrain.sources.s3 import S3Source, read_s3
from pixelbrain.sources.several import SeveralSources, name_sources
from pixelbrain.sources.web.read import read_web
from pixelbrain.sources.web.urls import is_web
from pixelbrain.storage.s3_uri import S3_SCHEME

__all__ = [
    "ImageBytes",
    "ImageSource",
    "anchored",
    "image_uri",
    "local_path",
    "name_sources",
    "one_name",
    "open_source",
    "read_bytes",
    "read_image",
]

_BUCKETS = (S3_SCHEME, *CLOUD_SCHEMES)


def open_source(
    source: str | Sequence[str],
    *,
    s3_endpoint: str | None = None,
    hidden: bool = False,
    outs: Iterable[str] = (),
    column: str | None = None,
    recursive: bool = True,
) -> ImageSource:
    """The source behind what a user names: a folder, a file, a list file, an s3:// prefix, or a glob of these.

    Args:
        source: its name; or several, which are listed one after the other. Among several, an image that is not there
            fails as a row, as in a list.
        s3_endpoint: another S3 server's URL.
        hidden: list what is hidden, or a system's own, too; see `is_hidden`.
        outs: folders and prefixes of results, which are never listed.
        column: of list files, the one that names the images.
        recursive: False lists what is in a folder or prefix itself, and not below; globs and lists say it themselves.

    Raises:
        SourceError: nothing can be called so; whether it is there, `list_images` tells.
    """
    named_so = [source] if isinstance(source, str) else source
    places = [place for one in named_so for place in expand_braces(normal_source(one))]
    if column is not None and not any(map(is_list_name, places)):
        raise SourceError(
            f"no list among the sources has a column {column!r}: --column is for .csv, .tsv, .jsonl and .parquet"
        )
    opener = _Opener(
        s3_endpoint=s3_endpoint,
        hidden=hidden,
        outs=tuple(outs),
        column=column,
        recursive=recursive,
        alone=len(places) == 1,
    )
    if len(places) == 1:
        return opener.open(places[0])
    found: list[ImageSource] = []
    for named, some in itertools.groupby(places, _is_image_file):
        together = list(some)
        found += [NamedImages(together, outs=opener.outs)] if named else map(opener.open, together)
    return SeveralSources(found)


@dataclass(frozen=True, kw_only=True)
class _Opener:
    """Opens sources that are named together."""

    s3_endpoint: str | None
    hidden: bool
    outs: tuple[str, ...]
    column: str | None
    recursive: bool
    alone: bool  # an archive that is broken cannot be listed; among several, it is a row that fails

    def open(self, place: str) -> ImageSource:
        """The source behind a `normal_source`."""
        path = os.path.expanduser(place)
        if os.path.isdir(path):  # whatever it is called
            return LocalSource(path, hidden=self.hidden, outs=self.outs, glob=self._flat(path))
        meant = Glob(path) if is_glob(path) else None
        if meant is None:
            check_source(path)
        else:
            check_name(path)
        base = path if meant is None else meant.base or os.curdir
        alone, in_bucket = self.alone and meant is None, place.startswith(_BUCKETS)
        if is_web(place):
            return NamedImages([place], outs=self.outs)
        if is_archive_name(place):
            return self._archives(self._files(base, glob=meant, kind=is_archive_name), alone=alone)
        lists = is_list_name(place) and not in_bucket  # a glob of photos is not to be searched twice
        called = _called(path) if lists and meant else [path]
        if is_parquet_name(place) and (in_bucket or any(map(self._has_images, called))):
            return self._archives(self._files(base, glob=meant, kind=is_parquet_name), alone=alone)
        if not lists:
            if meant is None and is_list_name(place):
                raise SourceError(f"a list file is read from disk: copy {place} here")
            return self._files(base, glob=meant or (self._flat(path) if in_bucket else None))
        if meant is None:
            return ManifestSource(path, column=self.column, outs=self.outs)
        if not called:
            raise SourceGoneError(f"nothing is called like {one_line(path)}")
        return SeveralSources([self.open(one) for one in called])

    def _flat(self, place: str) -> Glob | None:
        return None if self.recursive else Flat(place)

    def _has_images(self, path: str) -> bool:
        return has_images(path, self.column, broken=not self.alone)

    def _files(self, place: str, **which: Any) -> ImageSource:
        """What a disk or S3 has below a place; `which` of it, see `LocalSource`."""
        how = {"hidden": self.hidden, "outs": self.outs, **which}
        if place.startswith(CLOUD_SCHEMES):
            return CloudSource(place, **how)
        if place.startswith(S3_SCHEME):
            return S3Source(place, endpoint=self.s3_endpoint, **how)
        return LocalSource(place, **how)

    def _archives(self, files: ImageSource, *, alone: bool) -> ImageSource:
        return ArchiveSource(files, alone=alone, hidden=self.hidden, column=self.column, s3_endpoint=self.s3_endpoint)


def _called(pattern: str) -> list[str]:
    """The paths that a glob means."""
    return sorted(glob.glob(pattern, recursive=True))


def _is_image_file(place: str) -> bool:
    """Whether a path is that of an image, by its name, whether it is there or not; or a URL."""
    path = os.path.expanduser(place)
    if is_web(place):
        check_source(place)
        return True
    return is_image_name(path) and "://" not in path and not is_glob(path) and not os.path.isdir(path)


def read_image(image_id: str, *, version: str = "", s3_endpoint: str | None = None) -> ImageBytes:
    """The bytes of an image, and the version that they are of. Raises `ReadError`.

    Args:
        image_id: of a file, an object, or a member of an archive.
        version: that was listed, which says where in an archive a member is; without, it is looked for.
    """
    if image_id.startswith(FILE_SCHEME):
        return read_local(image_id)
    if image_id.startswith(S3_SCHEME):
        return read_s3(image_id, endpoint=s3_endpoint)
    if split_member(image_id):
        return read_member(image_id, version, s3_endpoint=s3_endpoint)
    if is_web(image_id):
        return read_web(image_id)
    if image_id.startswith(CLOUD_SCHEMES):
        return read_cloud(image_id)
    raise ReadError(f"neither a file:// nor an s3:// URI, nor a URL: {image_id[:100]}")


def read_bytes(image_id: str, *, s3_endpoint: str | None = None) -> bytes:
    """The bytes of an image. Raises `ReadError`."""
    return read_image(image_id, s3_endpoint=s3_endpoint).data

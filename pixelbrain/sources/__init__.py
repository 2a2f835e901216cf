"""Lists images on disk, in S3 or in a list file, and reads their bytes.

| what | file | role |
| --- | --- | --- |
| `ImageBytes` | base | what a source is: a list of image URIs with their versions, and the bytes behind a URI |
| `ManifestSource` | lists | images named in a list file: .txt (a URI a line), .csv or .parquet (a `uri` column) |
| `LocalSource` | local | images on this machine's disk: a folder, searched with everything below it, or one file |
| `S3Source` | s3 | images in S3, listed in pages of which the next waits to be asked for |
| `read_s3` | s3_read | the bytes of an object: whole, of one version, within a limit; a URL for who may fetch it |
"""

from __future__ import annotations

import os

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageBytes, ImageSource
from pixelbrain.sources.lists import LIST_SUFFIXES, ManifestSource
from pixelbrain.sources.local import FILE_SCHEME, LocalSource, read_local, uri_to_path
from pixelbrain.sources.s3 import S3Source
from pixelbrain.sources.s3_read import read_s3
from pixelbrain.storage.s3_uri import S3_SCHEME

__all__ = ["ImageBytes", "ImageSource", "one_name", "open_source", "read_bytes", "read_image"]


def open_source(source: str, *, s3_endpoint: str | None = None) -> ImageSource:
    """The source behind what a user names: a folder, a file, a list file, or an s3:// prefix.

    Raises:
        SourceError: nothing can be called so; whether it is there, `list_images` tells.
    """
    if source.startswith(S3_SCHEME):
        if source.lower().endswith(LIST_SUFFIXES):
            raise SourceError(f"a list file is read from disk: copy {source} here")
        return S3Source(source, endpoint=s3_endpoint)
    path = uri_to_path(source) if source.startswith(FILE_SCHEME) else source
    return ManifestSource(path) if path.lower().endswith(LIST_SUFFIXES) else LocalSource(path)


def one_name(source: str) -> str:
    """One name for a source, wherever it is named from and however: an s3:// URI, or a path without links.

    A list file and an image keep their own names, which may be links: a list's relative paths start at its folder.
    """
    if source[: len(S3_SCHEME)].lower() == S3_SCHEME:
        return S3_SCHEME + source[len(S3_SCHEME) :].removesuffix("/")  # a prefix is a folder, with or without its slash
    path = os.path.abspath(os.path.expanduser(uri_to_path(source) if source.startswith(FILE_SCHEME) else source))
    if os.path.isdir(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def read_image(image_id: str, *, s3_endpoint: str | None = None) -> ImageBytes:
    """The bytes of an image, and the version that they are of. Raises `ReadError`."""
    if image_id.startswith(FILE_SCHEME):
        return read_local(image_id)
    if image_id.startswith(S3_SCHEME):
        return read_s3(image_id, endpoint=s3_endpoint)
    raise ReadError(f"neither a file:// nor an s3:// URI: {image_id[:100]}")


def read_bytes(image_id: str, *, s3_endpoint: str | None = None) -> bytes:
    """The bytes of an image. Raises `ReadError`."""
    return read_image(image_id, s3_endpoint=s3_endpoint).data

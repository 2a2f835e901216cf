"""Lists images on disk, in S3 or in a list file, and reads their bytes.

| what | file | role |
| --- | --- | --- |
| `ImageBytes` | base | what a source is: a list of image URIs with their versions, and the bytes behind a URI |
| `ManifestSource` | lists | images named in a list file: .txt (a URI a line), .csv or .parquet (a `uri` column) |
| `LocalSource` | local | images on this machine's disk: a folder, searched with everything below it, or one file |
| `S3Source` | s3 | images in S3, listed in pages of which the next waits to be asked for |
| `find_gone` | gone | which images are certainly not there any more |
| `image_uri` | places | what a path or a URI names: one id a file, however it is written; what is no source |
| `PassedOver` | passed_over | what a listing passes over, counted by kind; what counts as hidden |
| `Outs` | results | folders of results, which hold no photo: this run's OUT by any of its names, and others' |
| `read_s3` | s3_read | the bytes of an object: whole, of one version, within a limit; a URL for who may fetch it |
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageBytes, ImageSource, is_list_name
from pixelbrain.sources.lists import ManifestSource
from pixelbrain.sources.local import FILE_SCHEME, LocalSource, read_local
from pixelbrain.sources.places import check_source, image_uri, normal_source
from pixelbrain.sources.s3 import S3Source
from pixelbrain.sources.s3_read import read_s3
from pixelbrain.storage.s3_uri import S3_SCHEME

__all__ = ["ImageBytes", "ImageSource", "image_uri", "open_source", "read_bytes", "read_image"]


def open_source(
    source: str, *, s3_endpoint: str | None = None, hidden: bool = False, outs: Iterable[str] = ()
) -> ImageSource:
    """The source behind what a user names: a folder, a file, a list file, or an s3:// prefix.

    Args:
        source: its name.
        s3_endpoint: another S3 server's URL.
        hidden: list what is hidden, or a system's own, too; see `is_hidden`.
        outs: folders and prefixes of results, which are never listed.

    Raises:
        SourceError: nothing can be called so; whether it is there, `list_images` tells.
    """
    place = normal_source(source)
    path = os.path.expanduser(place)
    if os.path.isdir(path):  # whatever it is called
        return LocalSource(path, hidden=hidden, outs=outs)
    check_source(path)
    if place.startswith(S3_SCHEME):
        if is_list_name(place):
            raise SourceError(f"a list file is read from disk: copy {place} here")
        return S3Source(place, endpoint=s3_endpoint, hidden=hidden, outs=outs)
    if is_list_name(place):
        return ManifestSource(path, outs=outs)
    return LocalSource(path, hidden=hidden, outs=outs)


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

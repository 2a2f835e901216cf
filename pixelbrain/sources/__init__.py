"""Lists images on disk, in S3 or in a manifest, and reads their bytes."""

from __future__ import annotations

from pixelbrain.errors import ReadError, SourceError
from pixelbrain.sources.base import ImageBytes, ImageSource
from pixelbrain.sources.local import FILE_SCHEME, LocalSource, read_local, uri_to_path
from pixelbrain.sources.manifest import LIST_SUFFIXES, ManifestSource
from pixelbrain.sources.s3 import S3Source
from pixelbrain.sources.s3_read import presign_s3, read_s3
from pixelbrain.sources.s3_uri import S3_SCHEME

__all__ = ["ImageBytes", "ImageSource", "open_source", "presign", "read_bytes", "read_image"]


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


def read_image(image_id: str, *, s3_endpoint: str | None = None) -> ImageBytes:
    """The bytes of an image, and the version that they are of.

    Raises:
        ReadError: they could not be had.
    """
    if image_id.startswith(FILE_SCHEME):
        return read_local(image_id)
    if image_id.startswith(S3_SCHEME):
        return read_s3(image_id, endpoint=s3_endpoint)
    raise ReadError(f"neither a file:// nor an s3:// URI: {image_id[:100]}")


def read_bytes(image_id: str, *, s3_endpoint: str | None = None) -> bytes:
    """The bytes of an image.

    Raises:
        ReadError: they could not be had.
    """
    return read_image(image_id, s3_endpoint=s3_endpoint).data


def presign(image_id: str, *, s3_endpoint: str | None = None) -> str:
    """A URL for an s3:// image that a server without credentials can fetch for an hour.

    Raises:
        ReadError: not in S3, or it cannot be signed.
    """
    if not image_id.startswith(S3_SCHEME):
        raise ReadError(f"only s3:// images can be sent as URLs: {image_id[:100]}")
    return presign_s3(image_id, endpoint=s3_endpoint)

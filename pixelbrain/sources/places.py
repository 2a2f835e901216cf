"""What a path or a URI names: one id a file, however it is written; and what is no source, said before it is opened."""

from __future__ import annotations

import glob
import os
import re

from pixelbrain.errors import SourceError
from pixelbrain.sources.archives.names import is_archive_name
from pixelbrain.sources.base import is_image_name, is_list_name, one_line
from pixelbrain.sources.cloud import CLOUD_SCHEMES
from pixelbrain.sources.globs import is_glob
from pixelbrain.sources.web.urls import is_web, normal_url
from pixelbrain.storage.file_uri import absolute, is_file_uri, path_to_uri, uri_to_path
from pixelbrain.storage.s3_uri import S3_SCHEME

_CLOUD = re.compile(r"(?:gs|az)://", re.IGNORECASE)
_S3 = re.compile(r"s3[an]?://", re.IGNORECASE)  # s3a and s3n are what Hadoop calls it
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_SLASH_LOST = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)  # as a Path writes s3://bucket

_SOURCES = (
    "a folder, an image, a list file (.txt, .csv, .tsv, .jsonl, .parquet), a .tar, s3://, gs:// or az:// with a "
    "bucket, or a URL"
)
_LIST = (
    "a list is a .txt with a path or URI a line, or a .csv, .tsv, .jsonl or .parquet with a column `uri`, `url` or "
    "`path`"
)
#: What files are by the end of their names, and the way out.
_OTHER_FILES = {
    "is an archive that is compressed, and no part of it can be read by itself: unpack it, to a .tar or a folder": (
        ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
    ),
    "is an archive: unpack it, and name the folder": (
        ".zip", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar",
    ),
    f"is a list of a kind that is not read: {_LIST}": (
        ".json", ".lst", ".list", ".xls", ".xlsx", ".ods", ".arrow", ".feather", ".orc",
        ".avro", ".yaml", ".yml", ".xml", ".pq",
    ),
    "is a film: make a folder of its frames, and name that": (
        ".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".mts",
    ),
    "is a camera's raw file: make a JPEG or TIFF of it": (
        ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw",
    ),
}  # fmt: skip
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|....ftyp(?:avi[fs]|hei[cxms]|hev[cxms]|mif1|msf1)",
    re.DOTALL,
)


def normal_source(source: str) -> str:
    """A source as an `s3://` URI, as another scheme's URI as it stands, or as a path."""
    if found := _S3.match(source):
        return S3_SCHEME + source[found.end() :]  # the key is taken as it stands: a%20b is no a b there
    if found := _CLOUD.match(source):
        return found[0].lower() + source[found.end() :]
    return uri_to_path(source) if is_file_uri(source) else source


def one_name(source: str) -> str:
    """One name for a source, wherever it is named from and however: a URI, or a path without links.

    A list file and an image keep their own names, which may be links: a list's relative paths start at its folder.
    """
    place = normal_source(source)
    if place.startswith((S3_SCHEME, *CLOUD_SCHEMES)):
        return place.removesuffix("/")  # a prefix is a folder, with or without its slash
    if is_web(place):
        return normal_url(place)
    path = absolute(place if is_file_uri(source) else os.path.expanduser(place))
    if os.path.isdir(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def anchored(place: str, folder: str) -> str:
    """A path or glob that is relative to a folder, from anywhere; what is not relative stays as it is."""
    if os.path.isabs(place) or place.startswith("~") or is_file_uri(place) or _SCHEME.match(place):
        return place
    path = os.path.join(folder, place)
    # a folder's name may have letters of globs in it, which are none
    return os.path.join(glob.escape(folder), place) if is_glob(place) and not os.path.lexists(path) else path


def image_uri(name: str, folder: str = "") -> str:
    """The image_id of what a user or a list names. Raises `SourceError` of a URL that is none, or holds a password.

    Args:
        name: an s3:// or file:// URI, in any of the ways in which programs write them, or a path.
        folder: where a relative path starts; the current folder by default.

    Returns:
        An `s3://` URI, an `https://` URL, or the `file://` URI of an absolute path without dots and doubled slashes,
        whose links are not resolved; a URI of another scheme as it stands.
    """
    place = normal_source(name)
    if is_web(place):
        return normal_url(place)
    if _SCHEME.match(place) and not is_file_uri(name):
        return place
    return path_to_uri(absolute(os.path.join(folder, place if is_file_uri(name) else os.path.expanduser(place))))


def check_source(place: str) -> None:
    """Whether a `normal_source` that is no folder can be one: an image, a list, or below an s3:// prefix.

    Raises `SourceError` of another scheme, or a file that is neither, with what to do with it.
    """
    if place.startswith((S3_SCHEME, *CLOUD_SCHEMES)):
        check_name(place)
    elif is_web(place):
        url = normal_url(place)
        path = url.partition("?")[0]
        check_name(path)
        if is_list_name(path) or is_archive_name(path):
            raise SourceError(f"a list or an archive is read from a disk or S3: copy {one_line(url)} here")
    elif os.path.isfile(place):
        if not is_image_name(place) and not is_list_name(place) and not is_archive_name(place):
            check_name(place)
            _check_bytes(place)
    elif (found := _SCHEME.match(place) or _SLASH_LOST.match(place)) and not os.path.lexists(place):
        raise SourceError(_no_such_scheme(found[1].lower(), slash_lost="://" not in found[0]))


def _no_such_scheme(scheme: str, *, slash_lost: bool) -> str:
    if scheme in ("s3", "gs", "az") and slash_lost:
        return f"SOURCE begins with {scheme}:/, and one slash is missing: write {scheme}://bucket/prefix"
    if scheme == "file":
        return "SOURCE is a file:// URI of another machine: this one's are file:///path"
    return (
        f"{scheme}:// is not read: SOURCE is {_SOURCES}; copy the photos to one of these, or mount them as a folder "
        "(what speaks S3 is s3://bucket/prefix with --s3-endpoint)"
    )


def check_name(place: str) -> None:
    """Refuse a name, or a glob, of what is no image, no archive that is read, and no list."""
    for what, suffixes in _OTHER_FILES.items():
        if place.lower().endswith(suffixes):
            raise SourceError(f"{one_line(place)} {what}")


def _check_bytes(path: str) -> None:
    """An image may be called as it likes."""
    try:
        with open(path, "rb") as file:
            begins = file.read(16)
    except OSError:
        return  # its row will say so
    if not _MAGIC.match(begins):
        raise SourceError(f"{one_line(path)} is no image by its first bytes, and no list by its name: name {_SOURCES}")

"""The bytes of an image in an archive: by where its listing found it, and by its name where that is not known."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping

from pixelbrain.errors import ReadError
from pixelbrain.sources.archives.names import plain_name, split_member
from pixelbrain.sources.archives.parquet import count_rows, read_row
from pixelbrain.sources.archives.ranged import open_ranged, read_part
from pixelbrain.sources.archives.tar import tar_members
from pixelbrain.sources.base import ImageBytes, OtherVersionError, Part

_VERSION = re.compile(r"(.+)@(\d+)\+(\d+)", re.DOTALL)

_guard = threading.Lock()  # many threads want the members of one archive: one reads its headers


def member_version(version: str, part: Part) -> str:
    """A member's version: its archive's, and where in it its bytes are, so that they are read by their range."""
    return f"{version}@{part.offset}+{part.size}"


def read_member(image_id: str, version: str = "", *, s3_endpoint: str | None = None) -> ImageBytes:
    """The bytes of a member, and the version that they are of. Raises `ReadError`.

    Args:
        image_id: see `member_uri`.
        version: that a listing found. Without it, or where the archive has another one by now, the archive's headers
            are looked through for the name; those of the last archives are remembered.
    """
    member = split_member(image_id)
    if member is None:
        raise ReadError(f"no member of an archive: {image_id[:100]}")
    kind, archive, name = member
    if kind == "parquet":
        return read_row(archive, name, version, s3_endpoint=s3_endpoint)
    if place := _VERSION.fullmatch(version):
        try:
            part = Part(int(place[2]), int(place[3]))
            return ImageBytes(read_part(archive, part, place[1], s3_endpoint=s3_endpoint).data, version)
        except OtherVersionError:
            pass
    now, part = find_member(archive, name, s3_endpoint=s3_endpoint)
    return ImageBytes(read_part(archive, part, now, s3_endpoint=s3_endpoint).data, member_version(now, part))


def find_member(archive: str, name: str, *, s3_endpoint: str | None = None) -> tuple[str, Part]:
    """The archive's version, and where in it the member is. Raises `ReadError`."""
    version, members, damage = _look(archive, s3_endpoint)
    if (part := members.get(plain_name(name))) is not None and name:
        return version, part
    if damage:
        raise ReadError(damage)
    raise ReadError(f"it is not in the archive (any more): {name[:200]!r}" if name else "the archive is whole now")


def has_member(kind: str, archive: str, name: str, *, s3_endpoint: str | None = None) -> bool:
    """Whether an archive has a member. Raises `ReadError` where nobody can tell."""
    if kind == "parquet":
        with open_ranged(archive, s3_endpoint=s3_endpoint) as (file, _version):
            column, _, row = name.rpartition("/")
            return row.isdecimal() and int(row) < count_rows(file, column)
    _version, members, damage = _look(archive, s3_endpoint)
    if damage and name not in members:
        raise ReadError(damage)
    return name in members


def _look(archive: str, s3_endpoint: str | None) -> tuple[str, Mapping[str, Part], str]:
    with open_ranged(archive, s3_endpoint=s3_endpoint) as (_file, version):
        pass
    with _guard:
        return version, *_members(archive, version, s3_endpoint)


@functools.lru_cache(8)
def _members(archive: str, version: str, s3_endpoint: str | None) -> tuple[Mapping[str, Part], str]:
    """Where the members of an archive are, and what is wrong with it: the first of a name counts, as in a listing."""
    found: dict[str, Part] = {}
    with open_ranged(archive, s3_endpoint=s3_endpoint) as (file, now):
        if now != version:
            raise ReadError("it changes while it is read: run again when nothing writes it any more")
        try:
            for member in tar_members(file):
                if member.part is not None:
                    found.setdefault(member.name, member.part)
        except ReadError as error:
            return found, str(error)
    return found, ""

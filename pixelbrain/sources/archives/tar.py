"""What is in a tar file, by its headers: their names, in whatever of tar's ways, and where their bytes are."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pixelbrain.errors import ReadError
from pixelbrain.sources.archives.names import plain_name
from pixelbrain.sources.base import Part

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class TarMember(NamedTuple):
    """A member that is no folder."""

    name: str
    part: Part | None  # None: it is a link, a device, or has holes


def tar_members(file: BinaryIO) -> Iterator[TarMember]:
    """The members, in their order, while their headers are read: no byte of a member is.

    Raises `ReadError`: no tar, or one that is damaged or cut off; what was yielded before is there.
    """
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (found := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                count += 1
                if not found.isdir():
                    whole = found.isreg() and not found.issparse()
                    yield TarMember(plain_name(found.name), Part(found.offset_data, found.size) if whole else None)
            file.seek(tar.offset)  # type: ignore[attr-defined]
            end = file.read(tarfile.BLOCKSIZE)
    except tarfile.TarError as error:
        raise ReadError(_why(file, count, str(error))) from None
    if end.strip(b"\0") or 0 < len(end) < tarfile.BLOCKSIZE:  # where tarfile takes what it cannot read for the end
        raise ReadError(_why(file, count, "bad header"))
    if not end:  # it may have been cut off, or be still written, where a member ends
        raise ReadError(_why(file, count, "no mark of its end"))


def _why(file: BinaryIO, count: int, reason: str) -> str:
    if count:
        return f"the archive is cut off or damaged behind its member {count:,} ({reason})"
    file.seek(0)
    begins = file.read(8)
    packed = next((name for magic, name in _COMPRESSED.items() if begins.startswith(magic)), None)
    if packed:
        return f"it is compressed with {packed}, and no part of it can be read by itself: unpack it to a plain .tar"
    return f"it is no tar file ({reason})"

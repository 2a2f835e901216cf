"""Where things are in the bytes of PNG and ISO media files, of which Pillow tells only a part."""

from __future__ import annotations

from collections.abc import Iterator


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each chunk that is there whole, up to IEND."""
    at = 8
    while at + 12 <= len(data):
        kind, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND" or end + 4 > len(data):
            return
        yield kind, start, end
        at = end + 4


def primary_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each property of the photo in a HEIC or AVIF file, of those boxes that are there whole.

    ISO/IEC 23008-12 (HEIF), section 9.3: `meta` has `pitm`, which names the photo among the items, and `iprp`, whose
    `ipco` lists properties and whose `ipma` says which of them an item has.
    """
    meta = _box(data, 0, len(data), b"meta")
    inside = meta and (meta[0] + 4, meta[1])  # behind its version and flags
    named, properties = inside and _box(data, *inside, b"pitm"), inside and _box(data, *inside, b"iprp")
    found, owned = properties and _box(data, *properties, b"ipco"), properties and _box(data, *properties, b"ipma")
    if not (named and found and owned):
        return []
    photo = int.from_bytes(data[named[0] + 4 : named[0] + (8 if data[named[0]] else 6)], "big")
    listed = list(_boxes(data, *found))
    indices = _indices(data, *owned, photo)
    return [(kind, data[start:end]) for kind, start, end in (listed[i - 1] for i in indices if 0 < i <= len(listed))]


def _indices(data: bytes, at: int, end: int, item: int) -> list[int]:
    """The properties of an item, counted from 1, by an `ipma` box."""
    id_bytes, index_bytes = (4 if data[at] else 2), (2 if data[at + 3] & 1 else 1)
    at += 8
    while at < end:
        found, at = int.from_bytes(data[at : at + id_bytes], "big"), at + id_bytes
        count, at = data[at], at + 1
        if found == item:
            essential = 1 << (8 * index_bytes - 1)  # the upper bit of each says that a reader must know the property
            places = range(at, at + count * index_bytes, index_bytes)
            return [int.from_bytes(data[i : i + index_bytes], "big") & (essential - 1) for i in places]
        at += count * index_bytes
    return []


def _box(data: bytes, at: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    return next(((start, stop) for kind, start, stop in _boxes(data, at, end) if kind == wanted), None)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box of an ISO media file (ISO/IEC 14496-12, section 4.2)."""
    while at + 8 <= end:
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:  # a larger one follows
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = at + size if size else end  # 0: up to the end
        if not start <= stop <= end:
            return
        yield data[at + 4 : at + 8], start, stop
        at = stop

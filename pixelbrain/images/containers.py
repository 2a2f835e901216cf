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

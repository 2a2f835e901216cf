"""Several sources as one: listed one after the other, each image once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from pixelbrain.errors import SourceError, SourceGoneError
from pixelbrain.sources.base import ImageSource, ManifestRow, manifest_tables
from pixelbrain.sources.passed_over import REPEATED


class SeveralSources(ImageSource):
    """What several sources list, in their order; an image that more than one of them has is listed once.

    Holds 16 bytes of each image that it has listed.
    """

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        super().__init__()
        self._sources = sources
        kinds = Counter(source.what for source in sources)
        self.what = "; ".join(what if count == 1 else f"{count:,} times {what}" for what, count in kinds.items())
        self._empty: set[int] = set()  # those in which there is no image: a folder that is not mounted looks so
        # a row keeps the version of a list; that of a file which changed since it was listed is then done again
        self.lists_read_versions = all(source.lists_read_versions for source in sources)

    def list_images(self) -> Iterator[pa.Table]:
        """The images of all; what cannot be listed is said at the call.

        Raises:
            SourceGoneError: all are gone: `--prune-gone-source` means all of them, and never those that are there.
            SourceError: one cannot be listed, or is gone.
        """
        listings, gone = [], []
        for source in self._sources:
            source.passed_over = self.passed_over
            try:
                listings.append(source.list_images())
            except SourceGoneError as error:
                gone.append(error)
        if gone:
            raise gone[0] if not listings else SourceError(f"{gone[0]}; the other sources are there")
        return manifest_tables(self._rows(listings))

    def covers(self, image_id: str) -> bool:
        """Whether one of them would name it; one in which there is no image at all says nothing of what is gone."""
        sources = (source for at, source in enumerate(self._sources) if at not in self._empty)
        return any(source.covers(image_id) for source in sources)

    def _rows(self, listings: Iterable[Iterator[pa.Table]]) -> Iterator[ManifestRow]:
        seen: set[bytes] = set()
        for at, listing in enumerate(listings):
            self._empty.add(at)
            for table in listing:
                self._empty -= {at} if len(table) else set()
                yield from self._unseen(table, seen)

    def _unseen(self, table: pa.Table, seen: set[bytes]) -> Iterator[ManifestRow]:
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            digest = hashlib.blake2b(row[0].encode(), digest_size=16).digest()
            if digest in seen:
                self.passed_over.add(REPEATED)
            else:
                seen.add(digest)
                yield row


def name_sources(source: str | Sequence[str]) -> str:
    """What a run is over, for a message: `a/, b/ and 3 more`."""
    if isinstance(source, str):
        return source
    shown = source if len(source) <= 3 else source[:2]
    *first, last = [*shown, *([] if shown is source else [f"{len(source) - len(shown):,} more"])]
    return f"{', '.join(first)} and {last}" if first else last

"""What is left to do: the listed images minus those that have landed; and what is gone from the source, to prune."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.landing.digests import DigestTable, digest_ids, digest_versions, first_of_runs, sort_digests
from pixelbrain.landing.forgotten.marks import read_marks
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import Part, claim_generation
from pixelbrain.landing.reader import newest_first, scan_columns
from pixelbrain.locks.run import RunLock

_GONE_SCHEMA = pa.schema([schema.MANIFEST_SCHEMA.field("image_id"), schema.MANIFEST_SCHEMA.field("version")])
_FOLD_ROWS = 2**20  # at least so many are sorted at a time
_PRUNED_ROWS = 50_000  # of one part file
_PRUNED, _CLOSED = 1, 2  # it is a tombstone, or none of its image; no older row of the image counts
_UNKNOWN, _MISSING, _LANDED = 0, 1, 2  # no row of a module was met yet; its newest one is not what is wanted; it is


class Remaining:
    """The plan of a run: which of the listed images are left to do, and for which modules.

    An image has landed for a module when the module's newest row about this version of the image was computed with the
    same settings; about any version, where the listing does not know it. A file that changed, a module that is new, or
    one whose settings changed, is work; so is an image that was pruned, and a module if what it stands on is work, or
    was done without it since. Keeps about 30 bytes an image that landed, and nothing of those that did not. Raises
    `LandingError`. `landing` is read once, here.

    Args:
        settings_hashes: each wanted module's `ModuleState.settings_hash`, in the order in which they run.
        stands_on: by module, those that it stands on, wanted or not.
        by_name: modules of which nothing that landed serves those that stand on them: they are done along with these.
        before_generation: look only at what older generations landed, so that a run whose listing is done again
            makes the same plan, whatever it has landed meanwhile.
        retry_failed: a failed image, or one on which a wanted module failed, has not landed.
        force: nothing has landed.
        again_before: the last two concern only what older generations landed: the rest is of the same run.
        along: modules that are no work by themselves: they see the photos that others are to see.
    """

    def __init__(
        self,
        landing: Landing,
        settings_hashes: Mapping[str, str],
        *,
        before_generation: int | None = None,
        retry_failed: bool = False,
        force: bool = False,
        again_before: int | None = None,
        along: Collection[str] = (),
        stands_on: Mapping[str, Collection[str]] = MappingProxyType({}),
        by_name: Collection[str] = (),
    ) -> None:
        self._again_before = float("inf") if again_before is None else again_before
        self._force, self._retry_failed = force, retry_failed
        self._parts = newest_first(
            part for part in landing.parts if before_generation is None or part.generation < before_generation
        )
        self._hashes = dict(settings_hashes)
        self._counts = np.array([name not in along for name in self._hashes], bool)
        self._stands_on, self._by_name = stands_on, by_name
        rows = self._read()
        images = np.flatnonzero(rows.flags & _PRUNED == 0)
        self._table = DigestTable(rows.digest[images])
        self._version = rows.version[images]
        self._landed = rows.state[images] == _LANDED
        self._listed = np.zeros(len(images), bool)
        self._marks = read_marks(landing.storage)
        #: Images that `split` was given so far.
        self.listed = 0

    def split(self, manifest: pa.Table) -> dict[tuple[str, ...], pa.Table]:
        """Group images by the modules that are to run on them.

        Args:
            manifest: rows of `schema.MANIFEST_SCHEMA`: a whole listing, or the next table of one.

        Returns:
            The rows to do, in their order, by the names of the modules; empty when nothing is left.
        """
        self.listed += len(manifest)
        place = self._table.find(digest_ids(manifest["image_id"]))
        known = np.flatnonzero(place >= 0)
        place = place[known]
        self._listed[place] = True
        versions = manifest["version"].take(pa.array(known))
        same = digest_versions(versions) == self._version[place]
        unknown = ~same & np.asarray(pc.equal(versions, schema.UNKNOWN_VERSION))
        # a row of an unknown version is about another one than what landed: all modules, or none
        same |= unknown & self._landed[place].all(axis=1)
        missing = np.ones((len(manifest), len(self._hashes)), bool)
        missing[known] = ~(same[:, None] & self._landed[place])
        missing[~missing[:, self._counts].any(axis=1)] = False
        pairs = [
            (below, column)
            for column, name in enumerate(self._hashes)
            for below, of in enumerate(self._hashes)
            if of in self._stands_on.get(name, ())
        ]
        for below, column in reversed(pairs):
            if list(self._hashes)[below] in self._by_name:
                missing[:, below] |= missing[:, column]
        for below, column in pairs:
            missing[:, column] |= missing[:, below]
        missing[self._marks.hold_places(manifest)] = False  # a photo that is forgotten is not even read
        work: dict[tuple[str, ...], pa.Table] = {}
        for pattern in np.unique(missing, axis=0):
            if pattern.any():
                names = tuple(name for name, wanted in zip(self._hashes, pattern, strict=True) if wanted)
                work[names] = manifest.filter(pa.array((missing == pattern).all(axis=1)))
        return work

    def gone(self, covers: Callable[[str], bool]) -> pa.Table:
        """Images that landed and that no `split` was given: call it after the last table of a complete listing.

        Raises `LandingError`.

        Args:
            covers: whether the source would list an image of this id if it were there.

        Returns:
            `image_id` and `version` (of the newest row) of the images that the source would list.
        """
        unlisted = ~self._listed
        found = [_GONE_SCHEMA.empty_table()]
        left = int(unlisted.sum())
        for _part, ids in scan_columns(self._parts, lambda part: _GONE_SCHEMA.names) if left else ():
            place = self._table.find(digest_ids(ids["image_id"]))
            fresh = np.flatnonzero((place >= 0) & unlisted[place])
            _distinct, first = np.unique(place[fresh], return_index=True)
            fresh = fresh[np.sort(first)]
            unlisted[place[fresh]] = False  # older rows of the image say nothing new
            rows = ids.take(pa.array(fresh)).cast(_GONE_SCHEMA)
            found.append(rows.filter(pa.array([covers(name) for name in rows["image_id"].to_pylist()], pa.bool_())))
            left -= len(fresh)
            if not left:
                break
        return pa.concat_tables(found)

    # --- reading -------------------------------------------------------------------------------------------------

    def _read(self) -> _Rows:
        """One row an image, sorted by digest."""
        kept = _Rows(
            digest=np.empty((0, 2), np.uint64),
            version=np.empty(0, np.uint64),
            state=np.empty((0, len(self._hashes)), np.uint8),
            flags=np.empty(0, np.uint8),
        )
        waiting: list[_Rows] = []
        for part, table in scan_columns(self._parts, self._columns):
            waiting.append(self._rows(part, table))
            # as many as are kept: each row is sorted a few times, however many parts there are
            if sum(map(len, waiting)) >= max(_FOLD_ROWS, len(kept)):
                kept, waiting = _fold([kept, *waiting]), []
        return _fold([kept, *waiting])

    def _columns(self, part: Part) -> list[str]:
        again = self._retry_failed and part.generation < self._again_before
        errors = [f"{name}.error_type" for name in self._hashes if name in part.modules] if again else []
        return ["image_id", "version", "status", *errors]

    def _rows(self, part: Part, table: pa.Table) -> _Rows:
        again = part.generation < self._again_before
        state = np.full((len(table), len(self._hashes)), _UNKNOWN, np.uint8)
        failed = np.asarray(pc.equal(table["status"], schema.Status.FAILED.value))
        for column, (name, wanted) in enumerate(self._hashes.items()):
            if name in part.modules:
                same = part.modules[name].settings_hash == wanted and not (self._force and again)
                state[:, column] = _LANDED if same else _MISSING
                if self._retry_failed and again and same:
                    error = np.asarray(pc.is_valid(pc.struct_field(table[name], "error_type")))
                    state[failed | error, column] = _MISSING
            elif any(of in part.modules for of in self._stands_on.get(name, ())):
                state[:, column] = _MISSING  # as `build_index` has it
        pruned = np.asarray(pc.equal(table["status"], schema.Status.PRUNED.value))
        return _Rows(
            digest=digest_ids(table["image_id"]),
            version=digest_versions(table["version"]),
            state=state,
            flags=np.where(pruned, _PRUNED | _CLOSED, 0).astype(np.uint8),
        )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What is kept of landed rows. All arrays have one entry a row."""

    digest: np.ndarray  # uint64 (n, 2), of the image_id
    version: np.ndarray  # uint64 (n,), of the version
    state: np.ndarray  # uint8 (n, modules): _UNKNOWN, _MISSING or _LANDED
    flags: np.ndarray  # uint8 (n,): _PRUNED, _CLOSED

    def __len__(self) -> int:
        return len(self.digest)


def _fold(newest_first: Sequence[_Rows]) -> _Rows:
    """One row an image, sorted by digest: its newest version, and what the rows about that version say of modules."""
    digest = np.concatenate([rows.digest for rows in newest_first])
    order, first = sort_digests(digest)
    digest = digest[order[first]]
    version, state, flags = (
        np.concatenate([getattr(rows, name) for rows in newest_first])[order] for name in ("version", "state", "flags")
    )
    if first.all():
        return _Rows(digest=digest, version=version, state=state, flags=flags)
    image = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    closed = flags & _CLOSED > 0
    newer_closed = np.cumsum(closed) - closed  # rows before this one, of its image and of those before
    counts = (newer_closed == newer_closed[starts][image]) & (version == version[starts][image])
    folded = state[starts]
    for column in range(state.shape[1]):
        says = np.flatnonzero(counts & (state[:, column] != _UNKNOWN))
        newest = says[first_of_runs(image[says])]
        folded[image[newest], column] = state[newest, column]
    return _Rows(
        digest=digest,
        version=version[starts],
        state=folded,
        flags=flags[starts] | np.where(np.logical_or.reduceat(closed, starts), _CLOSED, 0).astype(np.uint8),
    )


def prune(landing: Landing, rows: pa.Table) -> None:
    """Remove images, by a tombstone each that hides all older rows; one that comes back is new.

    Readers leave them out from now on, `load` takes them out of the stores, `compact` off the disk. Raises
    `OutLockedError` and `LandingError`. `landing` is refreshed.

    Args:
        rows: `image_id` and `version`, as `Remaining.gone` returns them.
    """
    if not len(rows):
        return
    base = pa.schema(schema.BASE_FIELDS)
    tombstones = rows.append_column("status", pa.array([schema.Status.PRUNED.value] * len(rows)))
    tombstones = pa.concat_tables([base.empty_table(), tombstones], promote_options="default").cast(base)
    with RunLock(landing.storage, what="prune"):
        generation = claim_generation(landing.storage)
        for block, start in enumerate(range(0, len(rows), _PRUNED_ROWS)):
            table = tombstones.slice(start, _PRUNED_ROWS)
            landing.write_part(table, generation=generation, block=block, piece=0, modules={})
    landing.refresh()

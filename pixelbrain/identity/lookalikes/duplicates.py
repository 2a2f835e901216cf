"""Groups of photos that are there more than once, each with the best one and why; landed in `OUT/duplicates`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.identity.lookalikes.best import BURST, COPIES, Judge
from pixelbrain.identity.lookalikes.links import NO_LEASH, bursts, by_photo, copies, within
from pixelbrain.identity.lookalikes.photos import NONE, Photos, read_photos
from pixelbrain.identity.thresholds import cut_threshold
from pixelbrain.landing.derived import DUPLICATES, cluster_name
from pixelbrain.landing.duplicates.choices import Choice, ChoiceLog, Places
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.said.events import active
from pixelbrain.locks.run import RunLock
from pixelbrain.shown import Shown
from pixelbrain.stores.vectors import vector_models

#: Bits of 64, measured by benchmarks/bench_duplicates.py; seconds.
BITS, BURST_S = 8, 3.0


@dataclass(frozen=True, kw_only=True, repr=False)
class DuplicatesReport(Shown):
    """What `find_duplicates` did."""

    images: int  # that were compared
    hashed: int  # of them, those with a perceptual hash; without one only equal bytes, and vectors, are looked at
    groups: int
    drop: int  # images of which there is a better one
    drop_bytes: int  # that these take
    kinds: dict[str, int] = field(default_factory=dict)  # of these: exact, near, burst
    chosen: int = 0  # photos of groups of which somebody said what to do
    seconds: float


@dataclass(kw_only=True)
class _Copy:
    """A photo of which there is a better one."""

    of: int
    kind: str  # exact, near or burst
    why: str
    bits: int | None = None
    similarity: float | None = None


def find_duplicates(
    landing: Landing,
    *,
    bits: int = BITS,
    similarity: float | None = None,
    burst_s: float = BURST_S,
    vectors: bool = True,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> DuplicatesReport:
    """Find copies, near copies and bursts, and write them into `OUT/duplicates`, in place of what was there.

    Nothing else is written, and no photo is touched. What somebody chose since holds for what is found now.

    Args:
        landing: what has landed; `quality` has the perceptual hashes, `exif` times and cameras, `resnet` vectors.
        bits: of 64 of a perceptual hash, that differ at most between copies.
        similarity: cosine from which on photos by the classifier's vectors are the same, cut, where their hashes do not
            say otherwise; by default the classifier's own, see `pixelbrain.identity.thresholds`.
        burst_s: seconds between two photos of a burst at most; 0: bursts are not looked for.
        vectors: whether vectors are looked at, where there are any.
        progress: called with how many images were read, of how many; comparing them comes after that.

    Raises:
        ConfigError: values that cannot work.
        LandingError: OUT cannot be read or written.
        OutLockedError: another process works on this OUT.
    """
    if not (isinstance(bits, int) and 0 <= bits <= 24):
        raise ConfigError(f"bits is {bits!r}: 0 to 24, of 64")
    if similarity is not None and not 0 < similarity <= 1:
        raise ConfigError(f"similarity is {similarity!r}: a cosine above 0, 1 at most")
    if not 0 <= burst_s <= 3600:
        raise ConfigError(f"burst is {burst_s!r}: 0 to 3600 seconds")
    start, log = time.perf_counter(), ChoiceLog(landing.storage)
    with RunLock(landing.storage, what="duplicates"):
        photos = read_photos(landing, vectors=vectors, progress=progress)
        model = vector_models(landing).get("images") if photos.vectors is not None else None
        own, cut_bits = cut_threshold(model.model if model else "")
        cut = (own if similarity is None else similarity, cut_bits) if model else None
        apart = _apart(landing, photos, log.read())
        found = _worse_ones(photos, bits, cut, burst_s, apart)
        DUPLICATES.write(landing, _table(photos, found))
    rows = read_duplicates(landing)
    assert rows is not None
    worse = rows.filter(pc.invert(rows["keep"]))
    kinds: list[dict] = pc.value_counts(worse["kind"]).to_pylist()
    place = {one: at for at, one in enumerate(photos.ids)}
    return DuplicatesReport(
        images=len(photos), hashed=int(photos.hashed.sum()), groups=pc.count_distinct(rows["duplicate_id"]).as_py(),
        drop=len(worse), kinds={one["values"]: one["counts"] for one in kinds},
        drop_bytes=int(photos.size_bytes[[place[one] for one in worse["image_id"].to_pylist()]].sum()),
        chosen=len(rows) - rows["chosen"].null_count, seconds=time.perf_counter() - start,
    )  # fmt: skip


def _worse_ones(
    photos: Photos, bits: int, cut: tuple[float, int] | None, burst_s: float, apart: Callable[[int, int], bool]
) -> dict[int, _Copy]:
    """By place, each photo of which there is a better one."""
    judge = Judge(photos)
    rank = judge.rank(COPIES)
    found: dict[int, _Copy] = {}
    order = np.lexsort((rank, photos.sha256))
    for run in np.split(order, np.flatnonzero(np.diff(photos.sha256[order])) + 1) if len(order) else ():
        kept: list[int] = []
        for one in run.tolist() if photos.sha256[run[0]] != NONE else ():
            better = next((other for other in kept if not apart(one, other)), None)
            if better is None:
                kept.append(one)
            else:
                found[one] = _Copy(of=better, kind="exact", why="the same bytes")
    links = copies(photos, rank, bits=bits, cut=cut)
    leashes = {"near": 2 * bits, "mirrored": 2 * bits, "alike": cut[1] if cut else 0}
    _around_the_best(photos, links, rank, found, apart, leashes)
    if burst_s:
        left = np.array([place for place in range(len(photos)) if place not in found], np.int64)
        of_bursts = judge.rank(BURST)
        shots = bursts(photos, left, of_bursts, seconds=burst_s)
        _around_the_best(photos, shots, of_bursts, found, apart, {"burst": NO_LEASH})
    return found


def _apart(landing: Landing, photos: Photos, choices: list[Choice]) -> Callable[[int, int], bool]:
    """Whether somebody said that two photos, by place, are no duplicates."""
    said = [one for one in active(choices) if one.kind == "apart"]
    ids = pa.array(sorted({ref.image_id for one in said for ref in one.photos}), pa.string())
    hashes = pa.array(sorted({ref.sha256 for one in said for ref in one.photos if ref.sha256}), pa.string())
    rows: list[dict] = []
    for table in landing.iter_images([]) if said else ():
        wanted = pc.or_(pc.is_in(table["image_id"], ids), pc.is_in(table["sha256"], hashes))
        rows += table.select(["image_id", "version", "sha256"]).filter(wanted).to_pylist()
    ids_there, versions, shas = ([row[name] for row in rows] for name in ("image_id", "version", "sha256"))
    places = Places(ids_there, versions, shas, said)
    numbers = {ids_there[row]: found for row, found in places.apart(said).items()}
    of: list[Collection[int]] = [numbers.get(one, frozenset()) for one in photos.ids] if numbers else []
    return lambda a, b: bool(of) and any(one in of[b] for one in of[a])


def _around_the_best(
    photos: Photos,
    links: np.ndarray,
    rank: np.ndarray,
    found: dict[int, _Copy],
    apart: Callable[[int, int], bool],
    leashes: Mapping[str, int],
) -> None:
    """From the best photo on, each takes what is linked to it; of one that has a better one itself, what is so, too.

    Then it must not be farther from the best of all than the leash, by how they are linked, in bits of the hashes, so
    that no chain of small changes ends at another picture.
    """
    for photo, of_photo in sorted(by_photo(links, len(rank)), key=lambda one: rank[one[0]]):
        best = _kept(photo, found)
        for a, b, how, differ, cosine in of_photo.tolist():
            other = a + b - photo
            if other in found or rank[other] <= rank[photo] or other == best:
                continue
            if apart(other, photo) or apart(other, best):
                continue
            if best == photo or within(photos, other, best, leashes[how]):
                found[other] = _said(how, differ, cosine, photo)


def _kept(place: int, found: dict[int, _Copy]) -> int:
    while place in found:
        place = found[place].of
    return place


def _said(how: str, bits: int, cosine: float, of: int) -> _Copy:
    if how == "burst":
        return _Copy(of=of, kind="burst", why="the same scene, by the same camera, within seconds")
    if how == "alike":
        return _Copy(of=of, kind="near", why=f"the same picture, cut: vectors alike to {cosine:.3f}", similarity=cosine)
    turned = "mirrored, " if how == "mirrored" else ""
    return _Copy(of=of, kind="near", why=f"{turned}the same picture: {bits} of 64 bits differ", bits=bits)


def _table(photos: Photos, found: dict[int, _Copy]) -> pa.Table:
    """Rows of `schema.DUPLICATE_SCHEMA`."""
    judge = Judge(photos)

    groups: dict[int, list[int]] = {}
    for place in found:
        groups.setdefault(_kept(place, found), []).append(place)
    rows = {place: {"image_id": photos.ids[place], "keep": True} for place in range(len(photos))}
    for best, others in groups.items():
        name = cluster_name("duplicates", min(photos.ids[place] for place in (best, *others)))
        of_burst = any(found[place].kind == "burst" for place in others)
        why = judge.why(best, others, BURST if of_burst else COPIES)
        rows[best] |= {"duplicate_id": name, "why": why}
        for place in others:
            copy = found[place]
            rows[place] = {
                "image_id": photos.ids[place], "duplicate_id": name, "kind": copy.kind, "keep": False, "why": copy.why,
                "copy_of": photos.ids[copy.of], "bits": copy.bits, "similarity": copy.similarity,
            }  # fmt: skip
    of_stage = [field for field in schema.DUPLICATE_SCHEMA if field.name not in _ORIGIN]
    return pa.Table.from_pylist(list(rows.values()), pa.schema(of_stage))


_ORIGIN = {field.name for field in schema.ORIGIN_FIELDS}

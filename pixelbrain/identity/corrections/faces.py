"""Finding a face again: by its photo, whatever that is called now, and by the overlap of boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.identity.corrections.events import FaceRef
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.reader import Layer, read_layers

#: Intersection over union from which two boxes are one face.
SAME_BOX = 0.5

BOX = [field.name for field in schema.BOX_FIELDS]
#: Columns of a table of faces that say where they are.
WHERE = ["face_id", "image_id", "image_version", *BOX]

#: image_ids and hashes -> of the images that are called or hashed so, image_id -> sha256.
Hashes = Callable[[Collection[str], Collection[str]], dict[str, str]]


def overlap(box: Sequence[float], others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of (n, 4) others, 0 to 1; boxes are x1, y1, x2, y2."""
    one = np.asarray(box, np.float64)
    rows = others.astype(np.float64)
    sides = np.minimum(one[2:], rows[:, 2:]) - np.maximum(one[:2], rows[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (rows[:, 2:] - rows[:, :2]).prod(axis=1)
    union = (one[2:] - one[:2]).prod() + areas - shared
    same = (rows == one).all(axis=1)  # also of a box without an area
    return np.where(same, 1.0, np.divide(shared, union, out=np.zeros(len(rows)), where=union > 0))


def find_faces(refs: Sequence[FaceRef], faces: pa.Table, hashes: Hashes) -> np.ndarray:
    """Which row of `faces` (columns `WHERE`) each reference is about now, int64 (n,); -1: none.

    A photo is the same while it is called and versioned so, or has the same bytes, under that name or another one.
    """
    found = np.full(len(refs), -1, np.int64)
    rows = _by_image({ref.image_id for ref in refs}, faces)
    left = []
    for place, ref in enumerate(refs):
        there = rows.get(ref.image_id)
        if there is not None and there.version == ref.version:
            found[place] = there.best(ref.box, ref.face_id)
        elif ref.sha256:
            left.append(place)
    if left:
        known = hashes({refs[p].image_id for p in left}, {refs[p].sha256 or "" for p in left})
        called: dict[str, list[str]] = {}
        for image_id, sha in sorted(known.items()):
            called.setdefault(sha, []).append(image_id)
        moved = _by_image({one for images in called.values() for one in images}, faces)
        for place in left:
            ref = refs[place]
            images = called.get(ref.sha256 or "", [])
            there = next((moved[one] for one in sorted(images, key=ref.image_id.__ne__) if one in moved), None)
            if there is not None:
                found[place] = there.best(ref.box, ref.face_id)
    return found


def match_rows(before: pa.Table, now: pa.Table) -> np.ndarray:
    """Which row of `now` each row of `before` is about (columns `WHERE`), int64 (n,); -1: none.

    What is still called so, at the same place, needs no comparison. In a photo that was looked at again, or that is
    another version now, boxes are compared, the nearest pairs first.
    """
    found = np.full(len(before), -1, np.int64)
    place = pc.index_in(before["face_id"], now["face_id"].combine_chunks())
    place = np.asarray(pc.fill_null(place, -1), np.int64)
    known = np.flatnonzero(place >= 0)
    old, new = _boxes(before)[known], _boxes(now)[place[known]]
    # of an older version's rows nobody knows where they were
    same = (old == new).all(axis=1) | np.isnan(old).any(axis=1)
    found[known[same]] = place[known[same]]
    left = np.flatnonzero(found < 0)
    if not len(left):
        return found
    free = np.ones(len(now), bool)
    free[found[found >= 0]] = False
    some = before.take(pa.array(left))
    wanted = set(some["image_id"].to_pylist())
    there = _by_image(wanted, now)
    boxes = _boxes(some)
    for image_id, olds in _by_image(wanted, some).items():
        if (news := there.get(image_id)) is None:
            continue
        pairs = []
        for old_row in olds.rows.tolist():
            shares = zip(overlap(boxes[old_row], news.boxes), news.rows.tolist(), strict=True)
            pairs += [(-share, old_row, new) for share, new in shares if free[new] and share >= SAME_BOX]
        for _share, old_row, new in sorted(pairs):
            if free[new] and found[left[old_row]] < 0:
                found[left[old_row]], free[new] = new, False
    return found


def landed_hashes(landing: Landing) -> Hashes:
    """The sha256 of landed images, by a pass over narrow columns."""

    def find(image_ids: Collection[str], hashes: Collection[str]) -> dict[str, str]:
        ids, shas = pa.array(sorted(image_ids), pa.string()), pa.array(sorted(hashes), pa.string())
        found: dict[str, str] = {}
        for table in landing.iter_images([], batch_rows=50_000):
            wanted = pc.or_(pc.is_in(table["image_id"], value_set=ids), pc.is_in(table["sha256"], value_set=shas))
            rows = table.select(["image_id", "sha256"]).filter(pc.and_(wanted, pc.is_valid(table["sha256"])))
            found |= zip(rows["image_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
        return found

    return find


def hashes_of(landing: Landing, image_ids: Iterable[str]) -> dict[str, str]:
    """image_id -> sha256 of a few images; only their rows are read."""
    index = landing.index
    places = pc.index_in(pa.array(sorted(set(image_ids)), pa.string()), index.image_id.combine_chunks())
    rows = np.sort(np.asarray(places.drop_null(), np.int64))
    layer = Layer(columns=["image_id", "sha256"], part=index.part[rows], row=index.row[rows])
    found: dict[str, str] = {}
    for table in read_layers(index.parts, [[layer]] if len(rows) else []):
        pairs = zip(table["image_id"].to_pylist(), table["sha256"].to_pylist(), strict=True)
        found |= {one: sha for one, sha in pairs if sha}
    return found


class _OfImage:
    """The faces of one photo."""

    def __init__(self, rows: np.ndarray, boxes: np.ndarray, ids: list[str], version: str) -> None:
        self.rows, self.boxes, self.ids, self.version = rows, boxes, ids, version

    def best(self, box: Sequence[float], face_id: str) -> int:
        """The row whose box is nearest, and near enough; of equals the one of that name, then the first."""
        shares = overlap(box, self.boxes)
        index = face_id.rpartition("#")[2]  # under a photo's other name the faces are counted alike
        keys = [(-shares[at], one.rpartition("#")[2] != index, at) for at, one in enumerate(self.ids)]
        share, _other, at = min(keys)
        return int(self.rows[at]) if -share >= SAME_BOX else -1


def _by_image(image_ids: Collection[str], faces: pa.Table) -> dict[str, _OfImage]:
    wanted = pc.is_in(faces["image_id"], value_set=pa.array(sorted(image_ids), pa.string()))
    rows = np.flatnonzero(np.asarray(wanted))
    some = faces.select(WHERE).take(pa.array(rows))
    images, boxes = some["image_id"].to_pylist(), _boxes(some)
    ids, versions = some["face_id"].to_pylist(), some["image_version"].to_pylist()
    places: dict[str, list[int]] = {}
    for at, image_id in enumerate(images):
        places.setdefault(image_id, []).append(at)
    return {
        image_id: _OfImage(rows[at], boxes[at], [ids[one] for one in at], versions[at[0]] or "")
        for image_id, at in places.items()
    }


def _boxes(faces: pa.Table) -> np.ndarray:
    """float32 (n, 4); nan where it is not known."""
    columns = [pc.fill_null(faces[name], float("nan")).to_numpy() for name in BOX]
    return np.stack(columns, axis=1).astype(np.float32) if len(faces) else np.empty((0, 4), np.float32)

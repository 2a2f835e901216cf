"""New faces among people who are known: who they are, by what they touch alone, without linking all faces again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelbrain.errors import ConfigError
from pixelbrain.identity.assign import unit_rows
from pixelbrain.identity.cluster import average_linkage, neighbour_graph
from pixelbrain.identity.links import distinct_pairs, first_points, read_apart
from pixelbrain.identity.neighbours import nearest_among, nearest_neighbours
from pixelbrain.identity.second_look import join_singles, part_unsure


@dataclass(frozen=True, eq=False)
class Growth:
    """Whose the new faces are. Rows are numbered through: p known people, then n new faces."""

    cluster: np.ndarray  # int64 (p + n,), the first row of each row's cluster; -1: a new face that is nobody's
    late: np.ndarray  # bool (n,), new faces that joined by `pixelbrain.identity.second_look`
    touched: np.ndarray  # int64 (t,), known people, rising, whose cluster has a new face; others stay as they were


def grow(
    ids: Sequence[str],
    vectors: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    *,
    threshold: float,
    photos: Sequence[str] | None = None,
    min_size: int = 2,
    k: int = 20,
    guests: np.ndarray | None = None,
    cannot_link: np.ndarray | None = None,
) -> Growth:
    """Link new faces with each other and with known people, by the average linkage of `assign`.

    A known person is a cluster from the start: it takes faces in, and merges with another only by what links both, but
    is not cut: `assign` of all faces does that. The result does not depend on the order of the new faces.

    Args:
        ids: a unique name a new face; equals are decided by it.
        vectors: float32 (n, d), of any length, of the new faces.
        sums: float32 (p, d), the sum of the unit vectors of each known person's faces; a face that is nobody's yet is
            one of a count of 1.
        counts: int (p,), faces of each.
        min_size: smaller clusters of new faces alone are none.
        k: neighbours a face, of the new ones, and of the known people.
        guests: bool (n,), new faces that link nobody, and only join by the second look; see `assign`.
        cannot_link: int (m, 2), pairs of rows that never end in one cluster.
        threshold, photos: as of `assign`, which raises the same errors.
    """
    n, p = len(ids), len(counts)
    if sums.shape[0] != p or (p and n and sums.shape[1] != vectors.shape[1]):
        raise ConfigError(
            f"sums are {sums.shape} and counts {counts.shape}, of vectors {vectors.shape}: one of each a row"
        )
    said = read_apart([*map("known person {}".format, range(p)), *ids], cannot_link)
    order = np.array(sorted(range(n), key=ids.__getitem__), np.int64)
    unit = unit_rows(vectors[order], [ids[row] for row in order])
    means = sums / np.maximum(counts, 1)[:, None].astype(np.float32)
    whom, alike = nearest_among(unit, means, k)
    near = np.unique(whom[alike >= threshold - 0.2 * (1 - threshold)])  # whoever is farther takes nobody in
    m = len(near)

    # Rows from here on: the people that are near, then the new faces in the order of their ids.
    among, similar = nearest_neighbours(unit, k)
    place = np.full(p + 1, -1)
    place[near] = np.arange(m)
    indices = np.concatenate([place[whom], np.where(among < 0, -1, among + m)], axis=1)
    indices = np.concatenate([np.full((m, indices.shape[1]), -1), indices])
    similarities = np.full(indices.shape, -1, np.float32)
    similarities[m:] = np.concatenate([alike, similar], axis=1)
    guest = np.zeros(m + n, bool)
    guest[m:] = False if guests is None else guests[order]
    if guest.any():
        similarities = np.where(guest[:, None] | guest[indices], np.float32(-2), similarities)
    rows = np.concatenate([means[near], unit])
    weights = np.concatenate([counts[near], np.ones(n, np.int64)]).astype(np.int64)
    known = [f"known {row}" for row in range(m)]
    names = [*known, *((f"photo {photos[row]}" if photos else f"face {row}") for row in order)]
    shown = np.unique(names, return_inverse=True)[1]
    where = np.full(p + n, m + n)  # of a row of ours; those that are not near are beyond the end, and apart from nobody
    where[near], where[p + order] = np.arange(m), m + np.arange(n)
    apart = where[said]
    apart = distinct_pairs(apart[(apart < m + n).all(axis=1)])

    graph = neighbour_graph(indices, similarities, threshold=threshold, photos=shown)
    label = average_linkage(rows, weights, graph, apart)
    label = part_unsure(rows, label, weights, threshold=threshold)
    joined = join_singles(rows, weights, label, indices, threshold=threshold, photos=shown, apart=apart)
    cluster = first_points(joined)
    small = np.bincount(cluster, weights, minlength=m + n) < min_size
    small |= np.bincount(cluster, ~guest, minlength=m + n) == 0
    cluster[small[cluster] & (np.arange(m + n) >= m)] = -1

    ours = np.concatenate([near, p + order])
    result = Growth(np.arange(p + n), np.zeros(n, bool), near[np.isin(cluster[:m], cluster[m:])])
    result.cluster[ours] = np.where(cluster < 0, -1, ours[cluster])
    result.late[order] = (joined != label)[m:] & (cluster[m:] >= 0)
    # an id decides among equals, and a row's number names the cluster: the first of its rows
    fresh = np.flatnonzero(result.cluster >= p)
    result.cluster[fresh] = fresh[first_points(result.cluster[fresh])]
    return result

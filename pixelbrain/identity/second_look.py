"""After linkage: small clusters of faces hardly alike fall apart, and a face alone joins the one clearly nearest."""

from __future__ import annotations

import numpy as np

from pixelbrain.identity.cluster import row_products, sum_rows
from pixelbrain.identity.links import Enemies

# At most 1.1 times the threshold's cosine distance away, no other cluster nearer than 1.25 times that, and three faces
# or more in it, so that its mean is one. On data/people (dlib) two of the three photos that linkage missed join, both
# rightly, and none of the bystanders; on 10,000 synthetic faces at a threshold of 0.45 it adds .03 of pairwise recall
# for less than .001 of precision, and with factors of 1.05 and 1.15 nearly the same.
_DISTANCE = 1.1
_NEXT = 1.25
_SIZE = 3

# Where strangers are taken for a person, it is in small clusters just above the threshold. The faces of one of up to 6
# are to be within 0.85 of the threshold's cosine distance, on average. On data/people (dlib) that ends both clusters of
# different people and none of one; of 600 to 800 people found among 12,000 synthetic faces (two seeds, threshold 0.45)
# those that mix two fall from 7 % to 0.7 %, at the same pairwise F; 0.9 leaves 2 %, and one mixed pair of dlib's.
_SMALL = 6
_ALIKE = 0.85


def part_unsure(vectors: np.ndarray, labels: np.ndarray, faces: np.ndarray, *, threshold: float) -> np.ndarray:
    """Take small clusters apart whose faces are hardly alike enough; copies, which are one point, stay one.

    Args:
        vectors: float32 (n, d), rows of unit length, or means of such.
        labels: int (n,), of `average_linkage`.
        faces: int (n,), different ones that a point stands for: 1, or those of a mean.
        threshold: cosine similarity of the linkage.

    Returns:
        int (n,), the labels; in clusters that fell apart each point's is its own number.
    """
    size = np.bincount(labels, faces, minlength=len(labels))
    points = np.flatnonzero((size[labels] > 1) & (size[labels] <= _SMALL))
    clusters, cluster = np.unique(labels[points], return_inverse=True)
    sums = vectors[points] * faces[points, None].astype(np.float32)
    totals = np.linalg.norm(sum_rows(sums, cluster, len(clusters)), axis=1) ** 2
    within = np.bincount(cluster, np.linalg.norm(sums, axis=1) ** 2, len(clusters))
    pairs = size[clusters] ** 2 - np.bincount(cluster, faces[points] ** 2, len(clusters))
    alike = (totals - within) / np.maximum(pairs, 1)  # of the pairs across points
    unsure = clusters[(pairs > 0) & (alike < 1 - _ALIKE * (1 - threshold))]
    return np.where(np.isin(labels, unsure), np.arange(len(labels)), labels)


def join_singles(
    vectors: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    *,
    threshold: float,
    photos: np.ndarray,
    apart: np.ndarray,
) -> np.ndarray:
    """Give single points to the clusters of their neighbours.

    Args:
        vectors: float32 (n, d), rows of unit length.
        weights: int (n,), how many faces a point stands for.
        labels: int (n,), of `average_linkage`.
        indices: int (n, k), the neighbours of each point; below 0: no such neighbour.
        threshold: cosine similarity of the linkage.
        photos: int (n,), the photo of each point: a face does not join a cluster that has one of the same photo.
        apart: int (m, 2), pairs of points: nor one that has a point that it is apart from.

    Returns:
        int (n,), the labels; those of the points that joined are changed.
    """
    n = len(labels)
    sizes = np.bincount(labels, weights, minlength=n)  # faces, by label
    single = np.flatnonzero(sizes[labels] == 1)

    # candidates: the clusters of each single point's neighbours, each once
    known = indices[single]
    point = np.repeat(single, known.shape[1])[known.reshape(-1) >= 0]
    cluster = labels[known[known >= 0]]
    several = sizes[cluster] > 1
    rivals = labels[np.concatenate([apart, apart[:, ::-1]])]
    pairs = np.setdiff1d(point[several].astype(np.int64) * n + cluster[several], rivals[:, 0] * n + rivals[:, 1])
    point, cluster = np.divmod(pairs, n)
    if not len(point):
        return labels

    wanted, place = np.unique(cluster, return_inverse=True)
    members = np.flatnonzero(np.isin(labels, wanted))
    place_of = np.searchsorted(wanted, labels[members])
    means = sum_rows(vectors, place_of, len(wanted), members, weights[members])
    means /= sizes[wanted, None]
    distance = 1 - row_products(vectors, means, place, point)

    order = np.lexsort((cluster, distance, point))
    point, cluster, distance = point[order], cluster[order], distance[order]
    nearest = np.flatnonzero(np.diff(point, prepend=-1))  # each point's first row
    counts = np.diff(nearest, append=len(point))
    second = distance[nearest + (counts > 1)]  # the nearest itself, where there is no other
    clear = (counts == 1) | (second >= _NEXT * distance[nearest])
    near = (distance[nearest] <= _DISTANCE * (1 - threshold)) & (sizes[cluster[nearest]] >= _SIZE)
    # (cluster, photo) pairs that are there already
    photo_count = int(photos.max()) + 1
    taken = np.unique(labels.astype(np.int64) * photo_count + photos)
    free = ~np.isin(cluster[nearest] * photo_count + photos[point[nearest]], taken)

    chosen = nearest[clear & near & free]
    chosen = chosen[np.lexsort((point[chosen], distance[chosen]))]
    # of two that may not be in one cluster, the nearer is
    _, first = np.unique(cluster[chosen] * photo_count + photos[point[chosen]], return_index=True)
    chosen = chosen[np.sort(first)]
    joined = labels.copy()
    joined[point[chosen]] = cluster[chosen]
    enemies = Enemies(apart)
    for late in point[chosen[np.isin(point[chosen], apart)]][::-1].tolist():  # the farthest first
        if any(joined[other] == joined[late] for other in enemies.of(late)):
            joined[late] = late
    return joined

"""Who is who at scale: seconds, memory and quality on made-up faces, beside scikit-learn's DBSCAN on the same graph.

    python benchmarks/bench_identity.py [--quick] [--json FILE]

Each size runs in a process of its own, so that its peak memory is its own, and once: a run takes long enough to be
steady. The faces are of `synthetic_faces.py`, 512 numbers each. Those that it blurred are gated, as a sharpness gate
would (made-up vectors have no pixels to measure), and belong to nobody; `pair_f` and `bcubed_f` count them as missed.
`judged_pair_f` and `judged_bcubed_f` are over the others. "neighbours" is what both share.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine, peak_memory_mb, print_table, versions, write_json
from synthetic_faces import make_faces

# Two people's mean cosine is 0, two look-alikes' half of 0.62, one person's 0.62: half way between the latter.
LINKAGE_THRESHOLD = 0.45

# DBSCAN chains, and the more faces there are, the more. These are its best by pairwise F on these 100,000 faces, of
# 0.55 to 0.65 and of 3 and 5. (At 0.55, its best on 10,000, it joins most of the 100,000: F 0.39.)
DBSCAN_THRESHOLD = 0.6
DBSCAN_MIN_SAMPLES = 5

K = 20
DIM = 512
SIZES = {"10k": 10_000, "100k": 100_000}
QUICK_SIZES = {"2k": 2_000, "10k": 10_000}


def measure(n: int, seed: int = 0) -> dict[str, float]:
    """Cluster `n` faces in this process, ours and the peer, and score both."""
    from pixelbrain.identity.assign import assign
    from pixelbrain.identity.cluster import dbscan, neighbour_graph
    from pixelbrain.identity.neighbours import nearest_neighbours

    few = np.eye(64, DIM, dtype=np.float32)  # a warm-up: torch, SciPy and scikit-learn are imported
    warm = neighbour_graph(*nearest_neighbours(few, 3), threshold=-1)
    assign([f"{row:02}" for row in range(64)], few, threshold=0.5)
    dbscan(warm, np.ones(64, np.int64))
    faces = make_faces(n, DIM, seed)
    good = np.flatnonzero(~faces.blurred)
    vectors = faces.vectors[good]
    ids = [f"face-{number:07d}" for number in good]
    truth = faces.person
    del faces
    found: dict[str, float] = {"faces": n, "memory_before_mb": peak_memory_mb()}
    shared: dict[str, Any] = {}

    def neighbours(_ids: Any, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        start = time.perf_counter()
        shared["rows"] = nearest_neighbours(rows, k)
        found["neighbours_seconds"] = time.perf_counter() - start
        return shared["rows"]

    start = time.perf_counter()
    ours = assign(ids, vectors, threshold=LINKAGE_THRESHOLD, k=K, neighbours=neighbours)
    found["seconds"] = time.perf_counter() - start
    found["peak_mb"] = peak_memory_mb()
    found["people"] = ours.count
    alone = np.arange(len(good))
    found.update(_score(truth, good, np.where(ours.cluster >= 0, ours.cluster, alone)))

    start = time.perf_counter()
    graph = neighbour_graph(*shared["rows"], threshold=DBSCAN_THRESHOLD)
    peer = dbscan(graph, np.ones(len(good), np.int64), DBSCAN_MIN_SAMPLES)
    found["dbscan.seconds"] = time.perf_counter() - start + found["neighbours_seconds"]
    found.update({f"dbscan.{name}": value for name, value in _score(truth, good, peer).items()})
    return found


def _score(truth: np.ndarray, good: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    """Scores over all faces, the gated ones each alone, and over the judged ones."""
    from pixelbrain.identity.evaluate import score_clusters

    everyone = len(truth) + np.arange(len(truth))
    everyone[good] = cluster
    judged = score_clusters(truth[good], cluster)
    return {
        **dataclasses.asdict(score_clusters(truth, everyone)),
        "judged_pair_f": judged.pair_f,
        "judged_bcubed_f": judged.bcubed_f,
    }


def main() -> None:
    """Parse, measure each size in a process of its own, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 and 10,000 faces only")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--one", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    figures: dict[str, float] = {}
    rows = []
    for name, n in (QUICK_SIZES if arguments.quick else SIZES).items():
        command = [sys.executable, str(Path(__file__).resolve()), "--one", str(n)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout)
        figures.update({f"identity.{name}.{key}": value for key, value in found.items()})
        for who, prefix, peak in (("average linkage", "", found["peak_mb"]), ("DBSCAN", "dbscan.", "")):
            scores = [found[prefix + key] for key in ("pair_p", "pair_r", "pair_f", "bcubed_f", "judged_pair_f")]
            rows.append([f"{name} faces, {who}", found[prefix + "seconds"], peak, *scores])
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    print_table(["", "seconds", "peak MB", "pair P", "pair R", "pair F", "BCubed F", "judged pair F"], rows)
    if arguments.json:
        settings = {
            "k": K,
            "dim": DIM,
            "seed": 0,
            "linkage_threshold": LINKAGE_THRESHOLD,
            "dbscan_threshold": DBSCAN_THRESHOLD,
            "dbscan_min_samples": DBSCAN_MIN_SAMPLES,
            "gated": "the faces that the generator blurred",
            "quick": arguments.quick,
        }
        used = versions("numpy", "scikit-learn", "scipy", "torch")
        write_json(arguments.json, "identity", settings, figures, used)


if __name__ == "__main__":
    main()

"""Who is who at scale: seconds, memory and quality on made-up faces, beside four others on the same neighbours.

    python benchmarks/bench_identity.py [--quick] [--size NAME ...] [--seed N] [--json FILE]

Each size runs in a process of its own, so that its peak memory is its own, and once: a run takes long enough to be
steady. The faces are of `synthetic_faces.py`, 512 numbers each. Those that it blurred are gated, as a sharpness gate
would (made-up vectors have no pixels to measure), and belong to nobody; `pair_f` and `bcubed_f` count them as missed.
`judged_pair_f` and `judged_bcubed_f` are over the others, and `mixed` is the part of the people found that mixes two.
"neighbours" is what all share. `SIZE_plus_10k` are 10,000 more faces by `grow` (a tenth of smaller sizes), and its
`pair_f_lost` is what that costs beside assigning all again. A million are run by `--size 1m` alone, and not twice.
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
from _clustering_peers import PEERS
from _machine import machine, peak_memory_mb, print_table, versions, write_json
from synthetic_faces import make_faces

# Two people's mean cosine is 0, two look-alikes' half of 0.62, one person's 0.62: half way between the latter.
LINKAGE_THRESHOLD = 0.45

K = 20
DIM = 512
ALL_SIZES = {"2k": 2_000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
SIZES = ("10k", "100k")
QUICK_SIZES = ("2k", "10k")
MORE = 10_000  # faces that come later, or a tenth of them


def measure(n: int, seed: int = 0) -> dict[str, float]:
    """Cluster `n` faces in this process, ours and the peers, then `MORE`, and score all."""
    from pixelbrain.identity.assign import assign
    from pixelbrain.identity.cluster import sum_rows
    from pixelbrain.identity.growth import grow
    from pixelbrain.identity.neighbours import nearest_neighbours

    few = np.eye(64, DIM, dtype=np.float32)  # a warm-up: torch, SciPy and scikit-learn are imported
    assign([f"{row:02}" for row in range(64)], few, threshold=0.5)
    PEERS["dbscan"](*nearest_neighbours(few, 3, exact=False))
    more = min(MORE, n // 10)
    faces = make_faces(n + more, DIM, seed)
    good = np.flatnonzero(~faces.blurred)
    old = int(np.searchsorted(good, n))  # of the good ones; the others come later
    vectors, later = faces.vectors[good[:old]], faces.vectors[good[old:]]
    ids = [f"face-{number:07d}" for number in good]
    truth = faces.person
    del faces
    found: dict[str, float] = {"faces": n, "memory_before_mb": peak_memory_mb()}
    shared: dict[str, Any] = {}

    def neighbours(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        start = time.perf_counter()
        shared["rows"] = nearest_neighbours(rows, k)
        found["neighbours_seconds"] = time.perf_counter() - start
        return shared["rows"]

    start = time.perf_counter()
    ours = assign(ids[:old], vectors, threshold=LINKAGE_THRESHOLD, k=K, neighbours=neighbours)
    found["seconds"] = time.perf_counter() - start
    found["peak_mb"] = peak_memory_mb()
    found["peak_gib"] = found["peak_mb"] * 1e6 / 2**30
    found["people"] = ours.count
    alone = np.arange(old)
    cluster = np.where(ours.cluster >= 0, ours.cluster, alone)
    found.update(_score(truth[:n], good[:old], cluster))

    numbers, number = np.unique(cluster, return_inverse=True)
    sums, counts = sum_rows(vectors, number, len(numbers)), np.bincount(number)
    start = time.perf_counter()
    grown = grow(ids[old:], later, sums, counts, threshold=LINKAGE_THRESHOLD, k=K)
    found["plus_10k.seconds"] = time.perf_counter() - start
    now = np.concatenate([grown.cluster[number], grown.cluster[len(numbers) :]])
    now = np.where(now >= 0, now, len(numbers) + len(now) + np.arange(len(now)))
    score = _score(truth, good, now)
    found["plus_10k.pair_f"] = score["pair_f"]
    if n < 1_000_000:
        again = assign(ids, np.concatenate([vectors, later]), threshold=LINKAGE_THRESHOLD, k=K)
        whole = np.where(again.cluster >= 0, again.cluster, np.arange(len(good)))
        found["plus_10k.pair_f_lost"] = _score(truth, good, whole)["pair_f"] - score["pair_f"]

    print(json.dumps(found), file=sys.stderr)  # what is known before the others' turn, which takes long
    for name, peer in PEERS.items():
        if n >= 1_000_000 and name in ("hdbscan", "whispers"):
            continue  # hours, and many minutes
        start = time.perf_counter()
        labels = peer(*shared["rows"])
        found[f"{name}.seconds"] = time.perf_counter() - start + found["neighbours_seconds"]
        found.update({f"{name}.{key}": value for key, value in _score(truth[:n], good[:old], labels).items()})
    return found


def _score(truth: np.ndarray, good: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    """Scores over all faces, the gated ones each alone, and over the judged ones."""
    from pixelbrain.identity.evaluate import count_mixed, score_clusters

    everyone = len(truth) + np.arange(len(truth))
    everyone[good] = cluster
    judged = score_clusters(truth[good], cluster)
    people, mixed = count_mixed(truth[good], cluster)
    return {
        **dataclasses.asdict(score_clusters(truth, everyone)),
        "judged_pair_f": judged.pair_f,
        "judged_bcubed_f": judged.bcubed_f,
        "mixed": mixed / max(1, people),
    }


def main() -> None:
    """Parse, measure each size in a process of its own, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 and 10,000 faces only")
    parser.add_argument("--size", action="append", choices=ALL_SIZES, help="this size, and no other but those named so")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up faces")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--one", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.seed)))
        return
    figures: dict[str, float] = {}
    rows = []
    for name in arguments.size or (QUICK_SIZES if arguments.quick else SIZES):
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--one",
            str(ALL_SIZES[name]),
            "--seed",
            str(arguments.seed),
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout)
        figures.update(
            {f"identity.{name}{'_' if key.startswith('plus_') else '.'}{key}": value for key, value in found.items()}
        )
        for who in ("", *PEERS):
            prefix = f"{who}." if who else ""
            if f"{prefix}seconds" in found:
                scores = [found[prefix + key] for key in ("pair_p", "pair_r", "pair_f", "bcubed_f", "mixed")]
                peak = "" if who else found["peak_mb"]
                rows.append([f"{name} faces, {who or 'average linkage'}", found[f"{prefix}seconds"], peak, *scores])
        rows.append(
            [f"{name} faces, and more", found["plus_10k.seconds"], "", "", "", found["plus_10k.pair_f"], "", ""]
        )
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    print_table(["", "seconds", "peak MB", "pair P", "pair R", "pair F", "BCubed F", "mixed"], rows)
    if arguments.json:
        settings = {
            "k": K,
            "dim": DIM,
            "seed": arguments.seed,
            "linkage_threshold": LINKAGE_THRESHOLD,
            "gated": "the faces that the generator blurred",
            "quick": arguments.quick,
        }
        used = versions("numpy", "scikit-learn", "scipy", "torch")
        write_json(arguments.json, "identity", settings, figures, used)


if __name__ == "__main__":
    main()

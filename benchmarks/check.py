#!/usr/bin/env python3
"""Hold results against their floors: a figure that got worse than what was reached, or is to be reached, ends with 1.

    python benchmarks/check.py FILE...

FILE is what a benchmark wrote with `--json`. All figures of the table that a file has are held against their floors,
or ceilings where less is better. Those that no file has are named: they are not checked, and not a failure. 2 is for a
file that is no result, and for files in which there is nothing to check. Ratios are of one run on one machine; seconds
and GiB are of the two cores that they are said for.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _machine import print_table

__all__ = ["FLOORS", "Floor", "check", "main"]


@dataclass(frozen=True)
class Floor:
    """What a figure is not to be worse than."""

    figure: str
    limit: float
    why: str
    most: bool = False  # a ceiling: less is better

    def holds(self, value: float) -> bool:
        """Whether it is kept; of what is no number, it is not."""
        return value <= self.limit if self.most else value >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.most else 'at least'} {self.limit:g}"


FLOORS = (
    Floor("classify.steady_vs_limit", 0.95, "what is around the model costs a twentieth of the bare loop"),
    Floor("classify.vs_ray", 4, "Ray Data as its documentation's image example uses it"),
    Floor("classify.vs_daft_documented", 4, "Daft as its own published benchmark uses it"),
    Floor("classify.vs_daft_tuned", 1.15, "Daft with a model folded, in our number format and channels_last"),
    Floor("classify.vs_predecessor", 3, "the loop that users come from: batch 1, float32, a write a field"),
    Floor("classify.cold_300_vs_daft", 1, "the first hundred images are where a laptop's user judges"),
    Floor("faces.vs_facenet_pytorch", 6, "facenet-pytorch as its README shows"),
    Floor("faces.recall_of_baseline", 0.99, "no face is given up for speed"),
    Floor("pipeline.vs_bare_reader", 0.85, "threads that read and decode, and nothing else"),
    Floor("memory.growth_20k_to_100k", 1.05, "five times the images, the same memory: nothing piles up", most=True),
    Floor("memory.peak_gib_100k", 4, "a laptop has 8", most=True),
    Floor("load.mongo_vs_bare", 0.9, "pymongo with upserts that the journal has"),
    Floor("load.chroma_vs_bare", 0.9, "chromadb's own client"),
    Floor("load.second_vs_first", 20, "a load with nothing new looks at what is new, not at what is there"),
    Floor("startup.vs_bare_ray", 1.2, "ten images: the barest Ray program that labels them", most=True),
    Floor("startup.ray_vs_bare_ray", 1.2, "the same, when we run on Ray, too", most=True),
    Floor("rerun.1m.seconds", 60, "status, load and report of a million images where nothing changed", most=True),
    Floor("rerun.1m.peak_gib", 2, "the same", most=True),
    Floor("identity.100k.seconds", 60, "100,000 faces on two cores", most=True),
    Floor("identity.100k.pair_f", 0.95, "speed is not bought with people who are mixed or split"),
    Floor("identity.1m.seconds", 600, "a million faces on two cores", most=True),
    Floor("identity.1m.peak_gib", 10, "a million faces fit a machine of 16", most=True),
    Floor("identity.1m.pair_f", 0.95, "as at 100,000"),
    Floor("identity.1m.pair_p", 0.99, "strangers who are one person are worse than a person who is two"),
    Floor("identity.1m_plus_10k.seconds", 60, "what is new costs what is new", most=True),
)


def read_figures(files: Iterable[Path]) -> dict[str, list[tuple[str, float]]]:
    """Of each figure, the files that have it, with its value there.

    Raises:
        ValueError: a file is none that a benchmark wrote.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for file in files:
        try:
            figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
            for name, value in figures.items():
                found.setdefault(name, []).append((file.name, math.nan if value is None else float(value)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} is no result of a benchmark's --json: {error!r}") from None
    return found


def check(files: Iterable[Path], floors: Iterable[Floor] = FLOORS) -> tuple[list[list[object]], list[str], list[str]]:
    """The table's rows, the figures under their floors, and those that no file has."""
    figures = read_figures(files)
    rows: list[list[object]] = []
    under, missing = [], []
    for floor in floors:
        for file, value in figures.get(floor.figure, ()):
            kept = floor.holds(value)
            rows.append([floor.figure, value, str(floor), "kept" if kept else "NOT KEPT", file, floor.why])
            if not kept and floor.figure not in under:
                under.append(floor.figure)
        if floor.figure not in figures:
            missing.append(floor.figure)
    return rows, under, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, check, print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="what a benchmark wrote with --json")
    try:
        rows, under, missing = check(parser.parse_args(arguments).files)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if rows:
        print_table(["figure", "measured", "floor", "", "file", "why"], rows)
    if missing:
        print(f"\nnot in these files, and not checked: {', '.join(missing)}")
    if not rows:
        print("no figure of these files has a floor", file=sys.stderr)
        return 2
    if under:
        print(f"\nunder the floor: {', '.join(under)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

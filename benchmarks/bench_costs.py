"""What one image costs, step by step: time of one core, bytes in memory, on disk and on the wire.

    python benchmarks/bench_costs.py [--quick] [--json FILE]

The figures that `cluster/SCALING.md` multiplies by millions. "core ms" is processor time of this process with one
thread, which another load on the machine hardly changes; what servers do in processes of their own (S3, MongoDB) is
wall time. Once each, over enough images to be steady. S3 is rclone on this machine: its requests have no distance.
Photos are generated, their vectors random (the hardest to compress, and to index); weights of ResNet-50 are seeded.
Who is who at 100,000 faces is measured by bench_identity.py, stores under several writers by bench_load.py.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from _costs_keeping import documents, landing, neighbours, vectors
from _costs_reading import decoding, listing, models, object_store, reading
from _machine import machine, print_table, versions, write_json
from bench_classify import make_photos


@dataclass(frozen=True)
class Sizes:
    """How much is run."""

    listed: int
    photos: int
    large: int  # photos of 12 megapixels
    landed_files: int
    documents: int
    vectors: tuple[int, ...]  # the rate is that of the thousand before
    faces: tuple[int, ...]


FULL = Sizes(50_000, 200, 8, 40, 100_000, (10_000, 50_000), (10_000, 50_000))
QUICK = Sizes(5_000, 64, 3, 8, 10_000, (2_000,), (5_000,))


def main() -> None:
    """Parse, measure all in turn, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images: a minute or two")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    seconds = 1.0 if arguments.quick else 10.0
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    with tempfile.TemporaryDirectory(prefix="bench-costs-") as name:
        root = Path(name)
        (root / "s3" / "photos").mkdir(parents=True)
        make_photos(root / "s3" / "photos", sizes.photos)
        photos = sorted((root / "s3" / "photos").iterdir())
        costs = [
            *listing(root, sizes.listed),
            *reading(root / "s3", photos),
            *decoding(photos, sizes.large),
            *models(root, photos, seconds),
            *landing(root, sizes.landed_files),
            *documents(root, sizes.documents),
            *vectors(root, sizes.vectors),
            *neighbours(sizes.faces),
            *object_store(seconds),
        ]
    print_table(["", "", "of"], [[cost.title, round(cost.value, 3), cost.unit] for cost in costs])
    if arguments.json:
        figures = {f"costs.{cost.title.replace(', ', '.').replace(' ', '_')}": cost.value for cost in costs}
        used = versions("pixelbrain", "torch", "pillow", "pyarrow", "pymongo", "chromadb", "ray")
        write_json(arguments.json, "costs", {"quick": arguments.quick, **asdict(sizes)}, figures, used)


if __name__ == "__main__":
    main()

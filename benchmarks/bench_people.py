"""How well people are told apart on labelled photos: `pixelbrain run` with its defaults, and what its export says.

    python benchmarks/bench_people.py FOLDER [--nobody NAME] [--offline] [--json FILE]

FOLDER has a folder a person, of photos whose largest face is that person's; `--nobody` names a folder of photos without
any. A photo is judged by the person of its largest face. One whose face was not found, or given to nobody, stands
alone: its pairs count as missed. "people found" are all identities of the run, also those of the other faces.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _machine import machine, print_table, versions, write_json


def run(source: Path, out: Path, options: list[str]) -> tuple[Path, Path]:
    """The pipeline as a user calls it: the exported images and faces."""
    program = str(Path(sys.executable).with_name("pixelbrain"))
    subprocess.run([program, "run", str(source), "--out", str(out), "--quiet", *options], check=True)
    for table in ("images", "faces"):
        subprocess.run([program, "export", str(out), str(out / f"{table}.csv"), "--table", table], check=True)
    return out / "images.csv", out / "faces.csv"


def measure(images: Path, faces: Path, nobody: str | None) -> dict[str, float]:
    """Score the people of the exported faces against the folders of their photos."""
    from pixelbrain.identity.evaluate import score_clusters

    who = {row["image_id"]: f"no face: {row['image_id']}" for row in _rows(images)}
    largest = dict.fromkeys(who, 0.0)
    found, assigned = set(), 0
    for row in _rows(faces):
        area = (float(row["x2"]) - float(row["x1"])) * (float(row["y2"]) - float(row["y1"]))
        found |= {row["identity_id"]} - {""}
        assigned += row["identity_id"] != ""
        if area > largest[row["image_id"]]:
            largest[row["image_id"]], who[row["image_id"]] = area, row["identity_id"] or f"alone: {row['face_id']}"
    judged = [image for image in who if Path(image).parent.name != nobody]
    truth = np.array([Path(image).parent.name for image in judged])
    return {
        "photos": len(judged),
        "photos_with_a_face": sum(largest[image] > 0 for image in judged),
        "people": len(set(truth)),
        "people_found": len(found),
        "faces_assigned": assigned,
        **dataclasses.asdict(score_clusters(truth, np.array([who[image] for image in judged]))),
    }


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def main() -> None:
    """Parse, run the pipeline, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder a person")
    parser.add_argument("--nobody", metavar="NAME", help="this folder's photos show nobody, and are not judged")
    parser.add_argument("--offline", action="store_true", help="the packaged models, as the command's --offline")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    options = ["--offline"] if arguments.offline else []
    with tempfile.TemporaryDirectory(prefix="bench-people-") as name:
        found = measure(*run(arguments.folder, Path(name) / "out", options), arguments.nobody)
    here = machine()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB, load {here['load_average_1min']}\n")
    print_table(["people", ""], [[name.replace("_", " "), value] for name, value in found.items()])
    if arguments.json:
        prefix = "people.offline" if arguments.offline else "people"
        figures = {f"{prefix}.{name}": value for name, value in found.items()}
        settings = {
            "command": " ".join(["pixelbrain run FOLDER --out OUT", *options]),
            "photos": "not in the repository",
        }
        used = versions("pixelbrain", "torch", "facenet-pytorch", "dlib-bin", "pillow")
        write_json(arguments.json, "people", settings, figures, used)


if __name__ == "__main__":
    main()

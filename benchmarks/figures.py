"""Write the measured figures of `benchmarks/results/` into README.md, docs/ and SCALING.md: no text has its own.

    python benchmarks/figures.py

A stated figure has the name of a measured one behind it, in a comment that Markdown does not show:
`33.0<!-- classify.steady.images_per_s -->`. Of another unit, it says by what to multiply or divide:
`1.2<!-- identity.10k.peak_mb/1000 --> GB`. The figure keeps the decimals that the text has, and a `.98` its point.
`tests/unit/test_figures.py` holds that texts and results agree, and that no measured-looking figure is without a name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["MARK", "PAGES", "RESULTS", "SCALING", "fill", "load"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: Says of each figure whether it was measured, documented or assumed; those of a result are marked there, too.
SCALING = ROOT / "cluster" / "SCALING.md"
MARK = re.compile(r"(?P<stated>[\d,]*\.?\d+)<!-- (?P<name>[\w.-]+?)(?:(?P<operator>[*/])(?P<by>\d+))? -->")


def load(folder: Path = RESULTS) -> dict[str, float]:
    """The figures of all results, by their dotted names.

    Raises:
        ValueError: two results have a figure of one name.
    """
    figures: dict[str, float] = {}
    for file in sorted(folder.glob("*.json")):
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["figures"]
        if twice := found.keys() & figures.keys():
            raise ValueError(f"{file.name} has {min(twice)}, which another result has, too: measure it in one script")
        figures |= found
    return figures


def fill(text: str, figures: dict[str, float]) -> str:
    """`text`, each of its marked figures as it was measured, in the form that it is stated in.

    Raises:
        ValueError: no result has the figure.
    """

    def measured(mark: re.Match[str]) -> str:
        if mark["name"] not in figures:
            raise ValueError(f"no result has {mark['name']}: look into benchmarks/results, or run its script")
        by = float(mark["by"] or 1)
        value = figures[mark["name"]] * (by if mark["operator"] == "*" else 1 / by)
        stated = f"{value:,.{len(mark['stated'].partition('.')[2])}f}"
        stated = stated.removeprefix("0") if mark["stated"].startswith(".") else stated
        return stated + mark[0].removeprefix(mark["stated"])

    return MARK.sub(measured, text)


def main() -> None:
    """Write the figures into the pages, and name those that changed."""
    figures = load()
    for page in (*PAGES, SCALING):
        text = page.read_text(encoding="utf-8")
        if (filled := fill(text, figures)) != text:
            page.write_text(filled, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: new figures")


if __name__ == "__main__":
    main()

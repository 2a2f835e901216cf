"""What asking costs, model by model, as `pixelbrain ask --dry-run` expects it. Asks nobody; takes a second.

python benchmarks/bench_prices.py [--json FILE]
"""

from __future__ import annotations

import argparse

from _machine import print_table, versions, write_json

from pixelbrain.asking.cost.prices import PRICES_DATE, find_price
from pixelbrain.asking.dry_run import dry_run
from pixelbrain.asking.questions.answer_types import answer_type
from pixelbrain.asking.questions.question import Question
from pixelbrain.asking.settings import AskSettings

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-4.1")
PHOTOS, WIDTH, HEIGHT = 1_000, 4032, 3024
#: That of the page, docs/asking.md.
QUESTION = Question(field="light", text="When was it taken?", answer=answer_type("choice:day,night"))


def main() -> None:
    """Parse, add up, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    arguments = parser.parse_args()
    photos = [(f"photo {number}", WIDTH, HEIGHT) for number in range(PHOTOS)]
    figures: dict[str, float] = {}
    for model in MODELS:
        settings = AskSettings(questions=(QUESTION,), model=model)
        for line in dry_run(photos, settings, find_price(model)).lines:
            figures[f"prices.{model}.{line.detail}.{'batch' if line.batch else 'usd'}"] = float(line.cost_usd_expected)
    rows = [
        [model, *(value for name, value in figures.items() if name.startswith(f"prices.{model}."))] for model in MODELS
    ]
    print_table(["US dollars", "low", "low, batch", "high", "high, batch"], rows)
    if arguments.json:
        kept = {"photos": PHOTOS, "size_px": f"{WIDTH} x {HEIGHT}", "question": QUESTION.text, "prices": PRICES_DATE}
        write_json(arguments.json, "prices", kept, figures, versions("pixelbrain"))


if __name__ == "__main__":
    main()

"""`pixelbrain ask`: questions about landed images, to GPT-4 Vision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pixelbrain.cli.options import EXIT_STRICT, address_option, command, mongo_option, over_out, size_option

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.stages.stages import Stages


@command(
    "Ask GPT-4 Vision about the images.",
    "export OPENAI_API_KEY=...",
    'pixelbrain ask out/ --field is_person --question "Is there at least one person?" --answer bool --dry-run',
    'pixelbrain ask out/ --question people_detector --where "n_faces == 0" --budget 5',
    'pixelbrain ask out/ --field light --question "When was it taken?" --answer choice:day,night --batch',
    "pixelbrain ask out/ --config questions.yaml",
    "pixelbrain ask out/ --cancel",
)
@click.argument("out")
@click.option(
    "--question", metavar="TEXT", help="What to ask, or people_detector, perfect_eyes, no_generation_artifacts."
)
@click.option("--field", metavar="NAME", help="Where the answer lands.")
@click.option("--answer", metavar="TYPE", help="text, bool, int, float, choice:a,b,c or tags. [default: text]")
@click.option("--where", metavar="EXPR", help='Only these images: n_faces > 0 and label == "suit".')
@click.option("--model", metavar="M", help="[default: gpt-4o-mini]")
@click.option(
    "--detail", type=click.Choice(["low", "high"]), help="How much of an image is seen, and paid for. [default: low]"
)
@click.option("--rpm", type=click.FloatRange(1), metavar="N", help="Requests a minute. [default: what the server says]")
@click.option("--tpm", type=click.FloatRange(1), metavar="N", help="Tokens a minute. [default: what the server says]")
@click.option("--budget", "budget_usd", metavar="USD", help="A hard cap for these fields, earlier runs included.")
@click.option("--prices", metavar="FILE", help="YAML or JSON: what models cost, over our table; see docs/asking.md.")
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    metavar="N",
    help="Requests in flight. [default: what the limits can use, or 32]",
)
@click.option("--actors", type=click.IntRange(1), metavar="N", help="Processes that ask. [default: 1]")
@click.option(
    "--provider",
    metavar="P",
    help="The kind of server: openai, azure, vllm, ollama, lmstudio, mistral, openrouter or litellm. [default: by URL]",
)
@click.option("--base-url", metavar="URL", help="Another server that speaks the API; its host is enough.")
@click.option("--api-version", metavar="V", help="Azure's, as in 2024-10-21; it may be in --base-url, too.")
@click.option("--token-limit", metavar="NAME", help="max_completion_tokens or max_tokens. [default: the provider's]")
@click.option(
    "--response-format",
    metavar="F",
    help="json_schema, json_object or none: the prompt holds the schema. [default: the provider's]",
)
@click.option("--send-detail/--no-detail", default=None, help="Send --detail. [default: as the provider takes it]")
@click.option("--send-temperature/--no-temperature", default=None, help="Send a temperature of 0. [default: send]")
@click.option("--header", "headers", metavar="NAME:VALUE", multiple=True, help="A further header; may be repeated.")
@click.option("--image-urls/--upload", default=None, help="Send presigned URLs of s3:// images instead of the images.")
@click.option("--max-output-tokens", type=click.IntRange(16), metavar="N", help="Of one answer. [default: 300]")
@click.option(
    "--max-wait",
    metavar="TIME",
    help="How long the server may let nothing through: 90s, 30m, 6h; then asking ends, and keeps all. [default: 10m; "
    "with --batch, until one ends: no limit]",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N images that are left.")
@click.option("--batch", is_flag=True, help="Through the Batch API: half the price, within a day.")
@click.option("--wait/--no-wait", default=True, help="With --batch: wait for the answers, or submit and return.")
@click.option("--cancel", is_flag=True, help="Cancel the batches that run; what they have answered is kept.")
@click.option("--dry-run", is_flag=True, help="Say what it would take, and ask nothing.")
@click.option(
    "--config", "config_file", metavar="YAML", help="Several questions, prices: the key gpt4v of a config file."
)
@click.option("--strict", is_flag=True, help="Exit with 3 when any image failed.")
@size_option
@address_option
@mongo_option
@over_out
def ask(
    stages: Stages,
    limit: int | None,
    batch: bool,
    wait: bool,
    cancel: bool,
    dry_run: bool,
    config_file: str | None,
    strict: bool,
    **given: Any,
) -> None:
    """Ask GPT-4 Vision, or a server that speaks its API, about the images that have landed in OUT.

    The key is read from OPENAI_API_KEY, or first from the provider's own variable, as MISTRAL_API_KEY. An answer is
    never paid for twice: the same command again asks only what is left, and so it goes on after a stop.
    `pixelbrain load OUT` then brings the answers into MongoDB.
    """
    from pixelbrain.stages import asking

    given["headers"] = _headers(given["headers"])
    if cancel:
        server = {name: given[name] for name in ("provider", "base_url", "api_version")}
        click.echo(asking.cancel_batches(stages.landing, **server))
        return
    shared = {"s3_endpoint": stages.config.s3_endpoint, "max_megapixels": stages.config.max_megapixels}
    module = _module(config_file, {k: v for k, v in given.items() if v is not None}, shared)
    if dry_run:
        click.echo("\n".join(asking.dry_run(stages, module, limit=limit)))
        return
    if batch:
        failed = asking.ask_batch(stages, module, wait=wait, limit=limit).answers["failed"]
    else:
        failed = stages.ask(module, limit=limit).failed_images
    if strict and failed:
        raise SystemExit(EXIT_STRICT)


def _headers(given: tuple[str, ...]) -> dict[str, str] | None:
    if wrong := [one for one in given if not one.partition(":")[0].strip() or ":" not in one]:
        raise click.UsageError(f"Invalid --header {wrong[0]!r}: write NAME:VALUE.")
    return {name.strip(): value.strip() for name, _, value in (one.partition(":") for one in given)} or None


def _module(config_file: str | None, given: dict[str, Any], settings: dict[str, Any]) -> Gpt4VModule:
    from pixelbrain.config import read_config
    from pixelbrain.stages.configured import make_questions

    if config_file:
        settings |= read_config(config_file).get("gpt4v") or {}
        if "question" in given:
            settings.pop("questions", None)
    if not (settings.get("questions") or settings.get("question") or "question" in given):
        raise click.UsageError("Missing --question: what to ask (or --config with questions).")
    return make_questions(settings | given)

"""The settings of a run, as they were recorded, and what they stand for: questions and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pixelbrain.config import RunConfig
from pixelbrain.errors import ConfigError
from pixelbrain.landing.landing import Landing
from pixelbrain.record import read_record
from pixelbrain.stages.display import Display

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule
    from pixelbrain.modules.base import PipelineModule


def recorded_config(out: str, given: Mapping[str, Any], *, stores: bool) -> RunConfig:
    """The settings for an OUT that is there already: what is given over what its run.json says; None is not given.

    Raises:
        ConfigError: `stores` are going to be asked, and their passwords, which no file holds, are not given.
    """
    landing = Landing(out, s3_endpoint=given.get("s3_endpoint")).require()
    recorded = read_record(landing.storage).get("settings", {})
    for name, secret in ("mongo", "password"), ("chroma", "secret"):
        before = recorded.get(name) or ""
        # that of MongoDB is always given again, as run.json never has its password
        if stores and not given.get(name) and ("***" in before or (before and name == "mongo")):
            raise ConfigError(
                f"{landing.storage} was loaded into {before}: give --{name} again, {secret} and all, or set "
                f"PIXELBRAIN_{name.upper()}"
            )
    chosen = {k: recorded[k] for k in ("chroma", "s3_endpoint", "strategy", "max_megapixels") if recorded.get(k)}
    return RunConfig(out=out, **chosen | {k: v for k, v in given.items() if v is not None})


def make_asking(config: RunConfig) -> list[Gpt4VModule]:
    """The module gpt4v, if it is among them. Raises `ConfigError` for what cannot be asked."""
    if config.gpt4v is None:
        return []
    shared = {"s3_endpoint": config.s3_endpoint, "max_megapixels": config.max_megapixels}
    return [make_questions(shared | dict(config.gpt4v))]


def make_questions(settings: Mapping[str, Any]) -> Gpt4VModule:
    """The module of these keyword arguments. Raises `ConfigError` for what cannot be asked."""
    from pixelbrain.asking.module import Gpt4VModule

    try:
        return Gpt4VModule(**settings)
    except TypeError as error:
        raise ConfigError(f"gpt4v: {error}") from None


def fetch_missing(modules: Sequence[PipelineModule], config: RunConfig, display: Display) -> None:
    """Download weights that are not here, with a progress bar a file."""
    from pixelbrain.modules.weights.find import fetch_weights, find_weights

    for name in dict.fromkeys(name for module in modules for name in module.required_weights()):
        if find_weights(name, config.weights_dir) is None:
            with display.stage(name, unit="bytes") as tell:
                fetch_weights(name, config.weights_dir, offline=config.offline, progress=tell)

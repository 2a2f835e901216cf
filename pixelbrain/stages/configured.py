"""The settings of a run, as they were recorded, and what they stand for: questions and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pixelbrain.config import BESIDE, CLIP_FOLDER, CLIP_LABELS, DEFAULT_MODULES, GPT4V, ONNX, RunConfig
from pixelbrain.errors import ConfigError, WeightsError
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.registry import MODULES, create_module, module_class
from pixelbrain.record import read_record
from pixelbrain.stages.display import Display
from pixelbrain.stores.chroma.own_vectors import STORED

if TYPE_CHECKING:
    from pixelbrain.asking.module import Gpt4VModule

#: Of each built-in module: the setting that names its model, the constructor's argument for it, and further settings,
#: which are called alike there.
_SETTINGS: dict[str, tuple[str, ...]] = {
    "resnet": ("classifier", "model", "classes", "top_k"),
    "facenet": ("embedder", "embedder"),
    "clip": ("clip_model", "model"),
    CLIP_LABELS: ("clip_model", "model", "labels", "top_k"),
}
#: Of a model that is a file of the user's own: how its name begins, and how the setting does that says where it is.
_OWN = {"facenet": ("onnx-", ONNX, "FILE")} | dict.fromkeys(("clip", CLIP_LABELS), ("local-dir-", CLIP_FOLDER, "DIR"))
_ALIASES = {"facenet": "vggface2"}


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
    kept = ("chroma", "s3_endpoint", "strategy", "max_megapixels", "min_label_score")
    chosen = {k: recorded[k] for k in kept if recorded.get(k) not in (None, "")}
    return RunConfig(out=out, **chosen | {k: v for k, v in given.items() if v is not None})


def run_config(settings: Mapping[str, Any]) -> RunConfig:
    """The settings of a run into OUT, which goes on with the models that OUT has where none are named.

    Args:
        settings: of `RunConfig`; None is not given. `classifier`, `embedder` and `offline` name models.

    Raises:
        ConfigError: a value that cannot work; or OUT has a model with weights of the user's own, and none is named.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    config = RunConfig(**given)
    chosen: dict[str, Any] = {}
    states = _newest_states(config)
    told = _told(config) if states else {}
    wanted = {*config.modules, *(["clip"] if CLIP_LABELS in config.modules else [])}  # whose vectors they stand on
    # of settings of several, those count whose work would be done again for longest
    for module in sorted(states.keys() & wanted, key=lambda name: name != CLIP_LABELS):
        state, (setting, argument, *others) = states[module], _SETTINGS[module]
        if setting not in given and ("offline" not in given or setting == "clip_model"):  # which has no packaged one
            landed_module(module, state, weights_dir=config.weights_dir, told=told)
            arguments = _arguments(module, state, told)
            chosen |= {setting: arguments.get(argument)}
            chosen |= {name: arguments[name] for name in others if arguments.get(name) is not None}
    return RunConfig(**{name: value for name, value in chosen.items() if value is not None} | given)


def make_modules(config: RunConfig) -> list[PipelineModule]:
    """The modules that look at images, not yet set up; of OUT's own model, what is not said is as it landed."""
    states = _newest_states(config)
    told = _told(config) if states else {}
    by_default = config.modules == DEFAULT_MODULES
    landing = Landing(config.out, s3_endpoint=config.s3_endpoint) if states and config.out else None
    # a question of an older version may be called so
    asked = BESIDE.intersection(landing.answer_log.fields()) if landing and by_default else frozenset()
    modules = []
    for name in (name for name in config.modules if name != GPT4V and name not in asked):
        settings = config.module_settings().get(name, {})
        if name in states:
            landed = _arguments(name, states[name], told)
            argument = _SETTINGS[name][1]
            if landed.get(argument) == _ALIASES.get(settings[argument], settings[argument]):
                settings = landed | settings
        modules.append(create_module(name, **settings))
        modules[-1].alone = not (by_default and name in BESIDE)
    return modules


def landed_module(
    name: str,
    state: ModuleState,
    *,
    weights_dir: str | None,
    offline: bool = False,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> PipelineModule:
    """The module that computed a column of OUT, made again of what Parquet says about it.

    One of the user's own is where the `modules` of `told` say.

    Parquet is the truth of it, whoever made OUT: run.json, whose settings are `told`, may be missing, or of a pipeline
    in Python. Where an ONNX file is, only those know.

    Raises:
        ConfigError: it had weights of the user's own, which no OUT holds, or was a module of that name.
    """
    if name not in MODULES:
        return _own_module(name, state, told)
    arguments = _arguments(name, state, told)
    setting, argument, *_others = _SETTINGS[name]
    flag = f"--{setting.replace('_', '-')}"
    begins, prefix, what = _OWN.get(name, ("", "", ""))
    if begins and str(arguments.get(argument)).startswith(begins):
        raise ConfigError(
            f"the column {name} was computed with a model of your own ({arguments[argument]}), and run.json does not "
            f"say where it is: give {flag} {prefix}{what}"
        )
    module = create_module(name, **arguments, weights_dir=weights_dir, offline=offline)
    with contextlib.suppress(WeightsError):  # not here, and of no published sha256: it will be fetched
        if module.model_info() != state.model:
            model, sha256 = (state.model.model, state.model.weights_sha256[:12]) if state.model else ("no model", "")
            raise ConfigError(
                f"the column {name} was computed with weights of your own ({model}, sha256 {sha256}): go on from "
                f"Python with weights_file=, or name {flag}: a run does all images again with that one"
            )
    return module


def _own_module(name: str, state: ModuleState, told: Mapping[str, Any]) -> PipelineModule:
    classes = [module_class(spec) for spec in told.get("modules") or () if ":" in spec]
    cls = next((cls for cls in reversed(classes) if cls.name == name), None)
    if cls is None and state.settings == STORED:
        raise ConfigError(
            f"the vectors {name} were stored, and nothing here computes that of another photo: search by one that has "
            "landed, or in Python by Database.query_vector_field"
        )
    if cls is None:
        raise ConfigError(f"run.json does not say where the module {name} is: give --module package.file:Class")
    return cls(**cls.arguments(state.settings))


def _arguments(name: str, state: ModuleState, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a built-in module's constructor was told, by its column's state, and by run.json of where a file is."""
    arguments = module_class(name).arguments(state.settings)
    setting, argument, *_others = _SETTINGS[name]
    begins, prefix, _what = _OWN.get(name, ("", "", ""))
    if begins and str(arguments.get(argument)).startswith(begins) and str(told.get(setting)).startswith(prefix):
        arguments[argument] = told[setting]
    return arguments


def _told(config: RunConfig) -> dict[str, Any]:
    """The settings in OUT's run.json."""
    return read_record(Landing(config.out or "", s3_endpoint=config.s3_endpoint).storage).get("settings", {})


def _newest_states(config: RunConfig) -> dict[str, ModuleState]:
    """What computed the built-in modules' columns last: of two models, the one that a run was changing to."""
    if not config.out:
        return {}
    states = Landing(config.out, s3_endpoint=config.s3_endpoint).newest_states()
    return {name: state for name, (state, _columns) in states.items() if name in _SETTINGS}


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

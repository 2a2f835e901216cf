"""A Ray's address: its forms, and whether a Ray that we can join answers there, asked before Ray's own long waits."""

from __future__ import annotations

import os
import re

from pixelbrain.config import mask_uri
from pixelbrain.engine.cluster.token import find_token, refused
from pixelbrain.engine.ray_private import ask_version, show_token
from pixelbrain.errors import ConfigError, EngineError

_ANSWER_S = 10.0  # Ray's own patience is a minute and more, twice
_OWN = ("auto", "local")  # Ray's words for: the one on this machine, and: start one


def check_address(address: str) -> str:
    """The address as Ray takes it: host:port, `auto` or `local`; for anything else, `ConfigError` says what to do."""
    address = address.strip()
    shown = mask_uri(address)
    if re.match(r"https?://", address):
        raise ConfigError(
            f"{shown} is a dashboard, which takes jobs: `pixelbrain submit --address {shown} COMMAND ...`; "
            "commands join a Ray at HOST:PORT, such as 10.0.0.1:6379"
        )
    if address.startswith("ray://"):
        raise ConfigError(
            f"{shown} is Ray Client's, over which data sets do not run: submit the command as a job, "
            "`pixelbrain submit --address http://HOST:8265 COMMAND ...`"
        )
    if address not in _OWN and not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@]+):\d{1,5}", address):
        raise ConfigError(f"{shown!r} is no address of a Ray: HOST:PORT, such as 10.0.0.1:6379, or auto")
    return address


def check_reachable(address: str) -> None:
    """Ask the Ray at host:port whether it is there; afterwards this process shows it the token that it wants.

    `EngineError`: nobody answers, it wants another token, is of another version, or this machine is no node of it.
    """
    import ray

    token = find_token()
    where = f"the Ray at {address}"
    version = ask_version(address, timeout_s=_ANSWER_S)
    if version is None and token is not None and "RAY_AUTH_MODE" not in os.environ and show_token():
        version = ask_version(address, timeout_s=_ANSWER_S)
    if version is None:
        if token is not None and os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
            raise EngineError(f"{where} wants a token, and RAY_AUTH_MODE=disabled holds ours back")
        raise refused(where, token)
    if version != ray.__version__:
        raise EngineError(f"{where} is version {version}, this one is {ray.__version__}: they must be the same")
    if not _is_node_of(address):
        raise EngineError(
            f"this machine is no node of the Ray at {address}: run the command on one, or submit it as a job, "
            "`pixelbrain submit --address http://HOST:8265 COMMAND ...`"
        )


def _is_node_of(address: str) -> bool:
    """Whether a raylet of that Ray runs here: Ray finds its own node in the same way, for a minute."""
    import psutil

    port = address.rpartition(":")[2]
    ours = re.compile(rf"--gcs-address=.*:{port}")
    return any(
        any(ours.fullmatch(word) for word in process.info["cmdline"] or ())
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "raylet"
    )

"""A cluster's dashboard, which takes jobs: where it is, and a client that does not wait for ever."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pixelbrain.config import mask_uri
from pixelbrain.engine.cluster.local_state import find
from pixelbrain.engine.cluster.session import set_environment
from pixelbrain.engine.cluster.token import find_token, refused
from pixelbrain.engine.ray_private import job_client
from pixelbrain.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient


_ANSWER_S = 10.0  # a connection, and a short answer
_UPLOAD_S = 300.0  # a working directory, or a head that looks for its agent


def dashboard_address(given: str | None) -> str:
    """The URL that jobs are submitted to.

    In this order: the given one, RAY_API_SERVER_ADDRESS, a RAY_ADDRESS that is a URL, the local cluster's dashboard.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    address = given or os.environ.get("RAY_API_SERVER_ADDRESS") or (named if named.startswith("http") else "")
    if not address:
        if (cluster := find()) is None:
            raise ConfigError("where to? --address http://HOST:8265, or `pixelbrain cluster up --local --dashboard`")
        if cluster.dashboard is None:
            raise ConfigError(
                "the local cluster runs without a dashboard, which jobs need: `pixelbrain cluster down --local`, then "
                "`pixelbrain cluster up --local --dashboard`"
            )
        return cluster.dashboard
    scheme, separator, rest = address.strip().partition("://")
    if not separator:
        scheme, rest = "http", address.strip()
    if scheme not in ("http", "https") or not rest or "@" in rest:
        raise ConfigError(f"{mask_uri(address)} is no dashboard's address: http://HOST:8265")
    return f"{scheme}://{rest.rstrip('/')}"


def connect(address: str) -> JobSubmissionClient:
    """Ray's client for the dashboard at a URL, which answered within 10 s and took our token, or `EngineError`."""
    import requests

    headers: dict[str, str] = {}
    token = None
    try:
        answer = requests.get(f"{address}/api/version", timeout=_ANSWER_S)
        if answer.status_code == 401:  # the token goes only to who asks for one
            if (token := find_token()) is not None:
                headers["Authorization"] = f"Bearer {token.value}"
                answer = requests.get(f"{address}/api/version", timeout=_ANSWER_S, headers=headers)
            if answer.status_code in (401, 403):
                raise refused(address, token)
        answer.raise_for_status()
        answer.json()["ray_version"]
    except (requests.ConnectionError, requests.Timeout):
        said = f"no dashboard answers at {address}: --address is the dashboard's, http://HOST:8265"
        raise EngineError(said) from None
    except (requests.RequestException, ValueError, KeyError, TypeError):
        raise EngineError(f"what answers at {address} is no dashboard of Ray's") from None

    set_environment()
    with _without("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):  # they would win over an address that is given
        return job_client(
            address,
            headers,
            timeouts=lambda method: (_ANSWER_S, _ANSWER_S if method == "GET" else _UPLOAD_S),
            refused=lambda: refused(address, token),
        )


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)

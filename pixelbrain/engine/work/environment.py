"""The driver's keys for workers that Ray started in another environment: on other nodes, or before this run."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pixelbrain.sources.cloud import forget_stores
from pixelbrain.sources.web.hosts import PER_HOST_VARIABLE
from pixelbrain.storage.s3_client import forget_s3_clients

#: Addresses and keys of the servers that can be asked.
_ASKED = ("OPENAI_", "AZURE_OPENAI_API_KEY", "MISTRAL_API_KEY", "OPENROUTER_API_KEY", "LITELLM_API_KEY")
_AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AWS_TOKEN = "AWS_SESSION_TOKEN"  # belongs to its keys
_CLOUD = (
    "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SKIP_SIGNATURE",
    "AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_ID", "AZURE_SKIP_SIGNATURE",
)  # fmt: skip
_AWS_PLACES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


class DriverEnvironment:
    """What a worker needs of the environment in which the driver runs: the same program, the same identity.

    Keys of S3 and of other clouds go along only where the driver's environment holds them: a driver that has a role or
    a profile tells nothing of it, and each node uses its own. Names of files and profiles stay, as a node has others.

    It is an argument of actors, which is in no log and on no dashboard, unlike a runtime environment. It is no mapping
    and no dataclass, and its repr holds names alone: Ray Data writes down what it can look into. With `asking`, the key
    of the server that is asked goes along, too.
    """

    def __init__(self, *, asking: bool = False, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        wanted = [name for name in environ if asking and name.startswith(_ASKED)]
        wanted += [name for name in _AWS_PLACES if name in environ]
        wanted += [name for name in (PER_HOST_VARIABLE,) if name in environ]
        wanted += [name for name in environ if name.startswith(_CLOUD)]
        if all(environ.get(name) for name in _AWS_KEYS):
            wanted += [*_AWS_KEYS, *(name for name in (_AWS_TOKEN,) if name in environ)]
        self._values = {name: environ[name] for name in wanted}

    def __repr__(self) -> str:
        return f"DriverEnvironment({', '.join(sorted(self._values))})"

    def apply(self) -> None:
        """Make it this process's own, before the first request."""
        changed = {name: value for name, value in self._values.items() if os.environ.get(name) != value}
        os.environ.update(changed)
        if _AWS_KEYS[0] in self._values and _AWS_TOKEN not in self._values:
            os.environ.pop(_AWS_TOKEN, None)  # the node's own, which fits other keys
        if any(name.startswith("AWS_") for name in changed):
            forget_s3_clients()
        if any(name.startswith(_CLOUD) for name in changed):
            forget_stores()

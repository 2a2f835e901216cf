"""Which server is asked: presets of providers, addresses as people have them, and the headers that go with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit, urlunsplit

from pixelbrain.asking.cost.prices import is_ours
from pixelbrain.asking.request.dialect import Dialect
from pixelbrain.config import choose, mask_uri
from pixelbrain.errors import ConfigError, StopJob

KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A kind of server: what it takes, and where it is unless somebody says so."""

    dialect: Dialect = Dialect()
    url: str | None = None
    path: str = "/v1"  # of its API, where an address names only the host
    hosts: tuple[str, ...] = ()  # by which it is known without being named
    key_variable: str = KEY_VARIABLE  # which is looked at first
    needs_key: bool = True
    batches: bool = False  # has OpenAI's Batch API
    free: bool = False  # runs models on a machine of one's own; the others are paid, by whatever address


_OLD_LIMIT = Dialect(token_limit="max_tokens")
#: Local servers see an image in one size: `detail` means nothing to them, and some refuse it.
_LOCAL = Dialect(token_limit="max_tokens", left_out=frozenset({"detail"}))

PROVIDERS = {
    "openai": Provider(hosts=("api.openai.com",), batches=True),
    "azure": Provider(
        dialect=_OLD_LIMIT,
        path="/openai/v1",
        hosts=(".azure.com", ".azure.us", ".azure.cn"),
        key_variable="AZURE_OPENAI_API_KEY",
    ),
    "vllm": Provider(dialect=_LOCAL, url="http://localhost:8000/v1", needs_key=False, free=True),
    "ollama": Provider(dialect=_LOCAL, url="http://localhost:11434/v1", needs_key=False, free=True),
    "lmstudio": Provider(dialect=_LOCAL, url="http://localhost:1234/v1", needs_key=False, free=True),
    "mistral": Provider(
        dialect=_LOCAL, url="https://api.mistral.ai/v1", hosts=(".mistral.ai",), key_variable="MISTRAL_API_KEY"
    ),
    "openrouter": Provider(
        dialect=_OLD_LIMIT,
        url="https://openrouter.ai/api/v1",
        path="/api/v1",
        hosts=("openrouter.ai",),
        key_variable="OPENROUTER_API_KEY",
    ),
    "litellm": Provider(
        dialect=_OLD_LIMIT,
        url="http://localhost:4000/v1",
        key_variable="LITELLM_API_KEY",
        needs_key=False,
        batches=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server that is asked. Where it gives no address, OPENAI_BASE_URL does, then its provider, then the SDK."""

    provider: str | None = None  # of PROVIDERS; None: known by its address, or like OpenAI's
    base_url: str | None = None
    api_version: str | None = None  # Azure's
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # further ones; they may hold secrets

    def __post_init__(self) -> None:
        if self.provider is not None:
            choose("provider", self.provider, PROVIDERS)
        if self.kind == "azure" and self.address is None:
            raise ConfigError("provider azure has no address of its own: give --base-url https://NAME.openai.azure.com")
        given = self._split()
        named = given.scheme in ("http", "https") and given.hostname and _has_port(given)
        if self.base_url and not named:
            raise ConfigError(f"base_url is {mask_uri(self.base_url)!r}: an address, as in http://localhost:11434/v1")

    @property
    def address(self) -> str | None:
        """The address that was given, or that its kind of server has; None: OpenAI's."""
        default = PROVIDERS[self.provider].url if self.provider else None
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or default

    @property
    def kind(self) -> str:
        """The name of its provider."""
        if self.provider is not None:
            return self.provider
        host, spelled = self._host(), self._split()
        if self.api_version or "/openai/deployments" in spelled.path or "api-version" in dict(parse_qsl(spelled.query)):
            return "azure"
        for name, known in PROVIDERS.items():
            if any(host == one.lstrip(".") or (one.startswith(".") and host.endswith(one)) for one in known.hosts):
                return name
        return "openai"

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own, or Azure's: there models go by OpenAI's names."""
        return self.kind == "azure" or self.address is None or self._host() == "api.openai.com"

    @property
    def runs_free(self) -> bool:
        """Whether it is a machine of one's own: by the address that was given, or by its provider and its address.

        OPENAI_BASE_URL alone does not say so: where a whole machine has it set, it is often a proxy that is paid for.
        """
        return is_ours(self.spelled) and (PROVIDERS[self.provider].free if self.provider else bool(self.base_url))

    def require_batches(self) -> None:
        """Raises `ConfigError` where `--batch` is nothing for this kind of server."""
        if not PROVIDERS[self.kind].batches:
            raise ConfigError(
                f"--batch speaks OpenAI's Batch API, which {self.kind} does not have in that form: leave --batch away "
                "to ask at once"
            )

    def read_key(self) -> str:
        """The key, read from the environment here and nowhere else; "" where the server may want none.

        Raises:
            StopJob: no key for a server that is known to want one, or one that cannot be sent.
        """
        variable, kind = self.key_variable, PROVIDERS[self.kind]
        key = os.environ.get(variable, "").strip()
        own = is_ours(self.spelled) or (self.kind == "openai" and not self.is_openai)  # which may want none
        if not key and kind.needs_key and not own:
            where = " with a key of https://platform.openai.com/api-keys" if variable == KEY_VARIABLE else ""
            raise StopJob(
                f"{variable} is not set: `export {variable}=...`{where}, or name another server with --base-url or "
                "--provider"
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise StopJob(f"{variable} holds characters that no key has: copy it again")
        return key

    @property
    def key_variable(self) -> str:
        """The variable of the environment that holds the key, or should."""
        own = PROVIDERS[self.kind].key_variable
        return next((name for name in (own, KEY_VARIABLE) if os.environ.get(name, "").strip()), own)

    def takes_bearer(self, key: str) -> bool:
        """Whether a key goes as the bearer's; Azure has a header of its own, but for tokens of Entra ID."""
        return self.kind != "azure" or key.count(".") == 2

    def url(self, model: str = "", *, whole: bool = False) -> tuple[str | None, dict[str, str]]:
        """The base URL as the SDK takes it, and the query that goes with every request.

        An address may be of the host alone, with or without /v1, or all of an endpoint's as Azure's portal shows it.

        Args:
            model: that is asked, which is a part of Azure's address.
            whole: not of one model, as for Azure's files and batches.
        """
        if self.address is None:
            return None, {}
        given = self._split()
        if not given.netloc:  # which the SDK will say
            return self.spelled, {}
        query = dict(parse_qsl(given.query))
        path = given.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/responses").rstrip("/")
        if self.kind == "azure":
            if self.api_version:
                query["api-version"] = self.api_version
            dated = "api-version" in query and query["api-version"] not in ("v1", "preview", "latest")
            if path in ("", "/openai"):
                path = "/openai/deployments" if dated else "/openai/v1"
            if path.endswith("/openai/deployments"):
                path += f"/{quote(model, safe='')}"
            if whole:
                path = path.partition("/deployments/")[0]
        elif not path or (path == "/api" and self.kind == "openrouter"):
            path = PROVIDERS[self.kind].path
        return urlunsplit((given.scheme, given.netloc, path, "", "")), query

    @property
    def spelled(self) -> str:
        """The address with a scheme."""
        address = (self.address or "").strip()
        if not address or "://" in address:
            return address
        return f"{'http' if is_ours('http://' + address) else 'https'}://{address}"

    def _split(self) -> SplitResult:
        """The address in its parts; none of one that is no address."""
        try:
            return urlsplit(self.spelled)
        except ValueError:
            return urlsplit("")

    def _host(self) -> str:
        return (self._split().hostname or "").lower()


def _has_port(given: SplitResult) -> bool:
    """Whether the port is one, or left out."""
    try:
        return given.port is None or given.port > 0
    except ValueError:
        return False

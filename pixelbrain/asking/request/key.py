"""The key of the API: read from the environment here and nowhere else, and known to be there before any work."""

from __future__ import annotations

import os

from pixelbrain.errors import StopJob

KEY_VARIABLE = "OPENAI_API_KEY"


def server_of(base_url: str | None) -> str | None:
    """The server that is asked, as the SDK chooses it; None: OpenAI's."""
    return base_url or os.environ.get("OPENAI_BASE_URL") or None


def read_key(base_url: str | None) -> str:
    """The key, or "" where the server may want none: any but OpenAI's.

    Raises:
        StopJob: no key for OpenAI's server, or one that cannot be sent.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and server_of(base_url) is None:
        raise StopJob(
            f"{KEY_VARIABLE} is not set: `export {KEY_VARIABLE}=...` with a key of "
            "https://platform.openai.com/api-keys, or name another server with --base-url"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise StopJob(f"{KEY_VARIABLE} holds characters that no key has: copy it again")
    return key

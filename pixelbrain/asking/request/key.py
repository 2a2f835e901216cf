"""The key of the API: read from the environment here and nowhere else, and known to be there before any work."""

from __future__ import annotations

from pixelbrain.asking.request.server import KEY_VARIABLE, Server
from pixelbrain.errors import StopJob


def read_key(server: Server) -> str:
    """The key, or "" where the server may want none.

    Raises:
        StopJob: no key for a server that is known to want one, or one that cannot be sent.
    """
    key, variable = server.key(), server.needs_key()
    if not key and variable is not None:
        where = " with a key of https://platform.openai.com/api-keys" if variable == KEY_VARIABLE else ""
        raise StopJob(
            f"{variable} is not set: `export {variable}=...`{where}, or name another server with --base-url or "
            "--provider"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise StopJob(f"{variable or KEY_VARIABLE} holds characters that no key has: copy it again")
    return key

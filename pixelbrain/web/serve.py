"""Serves the pages: an address of this machine, the browser that opens it, and an end by Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import html
import os
import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from pixelbrain.errors import ConfigError
from pixelbrain.stages.stages import Stages
from pixelbrain.web.app import make_app
from pixelbrain.web.guard import LOOPBACK

#: Where a browser finds the pages, if nobody else is there.
PORT = 8470
#: Letters of a token that somebody chose: shorter ones can be guessed.
MIN_TOKEN = 16
_ANY = ("0.0.0.0", "::")


def serve(
    stages: Stages,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    read_only: bool = False,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve the pages of an OUT until Ctrl-C.

    Args:
        stages: over the OUT.
        port: None: PORT, or any that is free; 0: any.
        host: the address of this machine to listen on.
        token: what opens the pages; None: a new one.
        read_only: nothing can be corrected.
        browser: open one.
        tell: hears the address, with the token.

    Raises:
        ConfigError: an address that others reach, without a token of one's own; one that cannot be had; a short token.
        LandingError: nothing has landed in OUT.
    """
    import uvicorn

    if host not in LOOPBACK and token is None:
        raise ConfigError(f"--host {host} shows your photos to others: say with --token what opens them")
    if token is not None and len(token) < MIN_TOKEN:
        raise ConfigError(f"a token of {len(token)} characters can be guessed: {MIN_TOKEN} at least")
    stages.landing.require()
    token = token or secrets.token_urlsafe(32)
    with contextlib.closing(_listen(host, port)) as listening:
        name = "127.0.0.1" if host in _ANY else host
        address = f"http://{f'[{name}]' if ':' in name else name}:{listening.getsockname()[1]}/"
        app = make_app(stages, token=token, hosts=["*"] if host in _ANY else [host], read_only=read_only)
        # h11: it refuses what could be read in two ways; nothing is believed of proxies, and nobody is told who serves
        config = uvicorn.Config(
            app, http="h11", ws="none", log_level="warning", access_log=False, proxy_headers=False,
            server_header=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        tell(f"{address}?token={token}")
        with contextlib.ExitStack() as stack:
            if browser:
                leads = stack.enter_context(_leading(f"{address}?token={token}"))
                threading.Thread(target=webbrowser.open, args=[leads], daemon=True).start()
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _leading(address: str) -> Iterator[str]:
    """The URI of a file that only this user can read, and that leads to an address, while it is wanted.

    Everybody on a machine can read what a browser is started with.
    """
    with tempfile.TemporaryDirectory(prefix="pixelbrain-open-") as folder:  # of this user alone
        file = Path(folder) / "open.html"
        to = html.escape(address)
        text = f"""<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={to}"><title>Pixelbrain</title><a href="{to}">Go on</a>"""
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as page:
            page.write(text)
        yield file.as_uri()


def _listen(host: str, port: int | None) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0][0]
    except OSError:
        raise ConfigError(f"--host {host} is no address of this machine") from None
    for one in (PORT, 0) if port is None else (port,):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, one))
            listening.listen(128)
            return listening
        except (OSError, OverflowError) as error:
            listening.close()
            if port is None and one and getattr(error, "errno", None) == errno.EADDRINUSE:
                continue
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"cannot listen on {host}:{one} ({why}): --port 0 takes one that is free") from None
    raise AssertionError("unreachable")

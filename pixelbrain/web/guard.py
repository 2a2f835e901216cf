"""Who may ask: each request is looked at before any page is, and each reply says what a browser may do with it."""

from __future__ import annotations

import hashlib
import html
import ipaddress
import re
import secrets
import socket
import urllib.parse
from collections.abc import Collection
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Bytes of what is sent here: forms are small, and a photo to search by is one file.
MAX_FORM, MAX_UPLOAD = 1 << 20, 64 << 20

#: The names of this machine for itself: whoever asks under another one came by a name that may be anybody's.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: No script and no style but our files, nothing from elsewhere, in no frame. A referrer is sent to ourselves alone:
#: without any, browsers would say of a form that it comes from `null`.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">{head}
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Pixelbrain</title></head><body><p>{text}</p></body></html>"""


class TooLarge(Exception):
    """More was sent than is read; raised where it is read."""


class Guard:
    """Around an application: Host and Origin, the token and its cookie, the size of what is sent, and safe headers.

    Args:
        app: what is behind.
        token: whoever brings it in `?token=` gets the cookie with which pages are shown.
        hosts: names by which it may be asked, beside this machine's for itself; "*": any number of an IP, and the
            machine's own name. A name that an attacker made lead here (DNS rebinding) is none of them.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str] = ()) -> None:
        self._app, self._token = app, token
        names = {socket.gethostname().lower(), socket.getfqdn().lower()} if "*" in hosts else set()
        self._hosts = LOOPBACK | {one.lower().strip("[]") for one in hosts} | names
        self._session = hashlib.sha256(b"pixelbrain session\0" + token.encode()).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is spoken here")
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    told[name] = value
                told.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(scope, headers)
        if refused is None and (given := self._given(scope)) is not None:
            return await self._enter(scope, headers, given, guarded)
        if refused is None and not self._known(headers):
            again = f'<a href="{html.escape(_path(scope))}">Try again</a>'
            text = f"This page opens with the address that <code>pixelbrain open</code> printed. {again}"
            return await _reply(guarded, HTTPStatus.UNAUTHORIZED, text)
        if refused is not None:
            return await _reply(guarded, *refused)
        most = MAX_UPLOAD if headers.get("content-type", "").startswith("multipart/form-data") else MAX_FORM
        await self._app(scope, _bounded(receive, most), guarded)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
        """Why nothing is done, whoever asks."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return HTTPStatus.MISDIRECTED_REQUEST, "Nothing is shown under this name: use the address that was printed."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "GET and POST are understood."
        if scope["method"] == "POST":
            origin = headers.get("origin")
            same = (
                urllib.parse.urlsplit(origin).netloc.lower() == hosts[0].lower()
                if origin is not None
                else headers.get("sec-fetch-site") == "same-origin"
            )
            if not same:
                return HTTPStatus.FORBIDDEN, "This was sent by a page of somebody else: nothing was changed."
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MAX_UPLOAD:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"More than {MAX_UPLOAD >> 20} MB are not read here."
        return None

    def _is_ours(self, host: str) -> bool:
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:@/\\]+))(?::\d{1,5})?", host)
        name = (found[1] or found[2]).lower() if found else ""
        if name in self._hosts:
            return True
        try:
            return "*" in self._hosts and bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _given(self, scope: Scope) -> str | None:
        """The token of the address, if it has one."""
        if scope["method"] != "GET":
            return None
        return next(iter(urllib.parse.parse_qs(scope["query_string"].decode("latin-1")).get("token", ())), None)

    def _known(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
        except CookieError:
            return False
        return cookie is not None and secrets.compare_digest(cookie.value.encode(), self._session.encode())

    async def _enter(self, scope: Scope, headers: Headers, given: str, send: Send) -> None:
        """The cookie for the right token, and on to the page without it.

        Not by a redirect: of one that began on another site, browsers keep a strict cookie back.
        """
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            text = "This token is none, or an old one: use the address that <code>pixelbrain open</code> printed last."
            return await _reply(send, HTTPStatus.UNAUTHORIZED, text)
        to = html.escape(_path(scope))
        cookie = f"{_cookie_name(headers)}={self._session}; Path=/; HttpOnly; SameSite=Strict"
        head = f'<meta http-equiv="refresh" content="0;url={to}"><link rel="icon" href="/assets/icon.svg">'
        await _reply(send, HTTPStatus.OK, f'<a href="{to}">Go on</a>', head=head, cookie=cookie)


def _cookie_name(headers: Headers) -> str:
    """One a port: browsers show a cookie to all ports of a host."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"pixelbrain-{port if port.isdigit() else 80}"


def _path(scope: Scope) -> str:
    """The page that is asked for, without the token; always one of ours, never `//elsewhere`."""
    query = urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"))
    rest = urllib.parse.urlencode([(name, value) for name, value in query if name != "token"])
    return "/" + urllib.parse.quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")


def _bounded(receive: Receive, most: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise TooLarge(f"More than {most >> 20} MB are not read here.")
        return message

    return counted


async def _reply(send: Send, status: HTTPStatus, text: str, head: str = "", cookie: str = "") -> None:
    body = _PAGE.format(head=head, text=text).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"set-cookie", cookie.encode())] if cookie else []
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Somebody who has the page open, without a browser: requests into the application, no server."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from pixelbrain.stages.stages import Stages
from pixelbrain.web.app import make_app
from pixelbrain.web.data.columns import key_of
from pixelbrain.web.data.desk import Desk

TOKEN = "a-token-of-the-tests"
ADDRESS = "http://127.0.0.1:8470"


class Visitor:
    """`Visitor(out).get("/people")` is a page's text; `say(path, field=...)` is the page that a form leads to."""

    def __init__(
        self, out: Path | str, *, enter: bool = True, app: Any = None, s3_endpoint: str | None = None, **given: Any
    ) -> None:
        stages = Stages.over(str(out), stores=False, s3_endpoint=s3_endpoint)
        self.app = app or make_app(stages, token=TOKEN, **given)
        self.client = TestClient(self.app, base_url=ADDRESS, follow_redirects=False)
        self.desk: Desk = self.app._app.state.desk
        self.desk.view()  # all is read
        if enter:
            assert self.client.get("/", params={"token": TOKEN}).status_code == 200

    def get(self, path: str, status: int = 200) -> str:
        reply = self.client.get(path)
        assert reply.status_code == status, reply.text
        return reply.text

    def post(self, path: str, **fields: Any) -> Any:
        return self.client.post(path, data=fields, headers={"Origin": ADDRESS})

    def say(self, path: str, **fields: Any) -> str:
        reply = self.post(path, **{"back": "/people", **fields})
        assert reply.status_code == 303, reply.text
        return self.get(reply.headers["location"])


def said(page: str) -> str:
    """The message of a page."""
    found = re.search(r'id="said">\s*<p><bdi>(.*?)</bdi>', page, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def shown(page: str) -> str:
    """What one reads of it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2])).split())


__all__ = ["ADDRESS", "TOKEN", "Visitor", "key_of", "said", "shown"]

"""A page of a real browser, which remembers what it said and what it asked for."""

from __future__ import annotations

import shutil
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


class Tab:
    """The page of a context of its own. To start one is .9 s of CPU: what wants no other one takes that of all."""

    def __init__(self, browser: Any, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def as_new(self, viewport: dict[str, int], scheme: str) -> None:
        """Empty, nobody's, and of that size and colour scheme."""
        self.page.goto("about:blank")
        self.page.unroute_all()
        self.context.clear_cookies()
        self.page.set_viewport_size(viewport)
        self.page.emulate_media(color_scheme=scheme)
        self.said.clear()
        self.asked.clear()

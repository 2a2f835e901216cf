"""A page of `pixelbrain open` in a browser, as a person has it."""

from __future__ import annotations

import shutil
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


class Desk:
    """A page of a browser; what it says besides, and asks of others, is remembered."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.base = address.partition("?")[0]
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.odd: list[str] = []
        self.page.on("console", lambda message: self.odd.append(message.text))
        self.page.on("pageerror", lambda error: self.odd.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.odd.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda one: one.url.startswith(self.base) or self.odd.append(one.url))
        self.page.goto(address)
        self.page.locator("dl.figures").wait_for()  # the page without the token, when all is read
        assert self.page.url == self.base

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def press(self, *keys: str) -> None:
        """A key is heard by the page's script, which is there when a page is loaded, and not when it is to be seen."""
        self.page.wait_for_load_state("load")
        for key in keys:
            self.page.keyboard.press(key)

    def picked(self, count: int) -> None:
        self.page.locator(".picked", has_text=f"{count} picked").wait_for()

    def said(self, *words: str) -> None:
        """The message that comes has these words."""
        line = self.page.locator("#said")
        for word in words:
            line.filter(has_text=word).wait_for()

    def heading(self, text: str) -> None:
        self.page.locator("h1", has_text=text).wait_for()

    def tiles(self, count: int) -> None:
        self.page.wait_for_function("n => document.querySelectorAll('[data-tile]').length === n", arg=count)

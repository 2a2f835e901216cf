"""`pixelbrain open` in a browser, as a person has it."""

from __future__ import annotations

from tests.integration.opened.tab import DESKTOP, Tab


class Desk:
    """A tab at the front page; whatever it says besides, and asks of others, is odd."""

    def __init__(self, tab: Tab, address: str, viewport: dict[str, int] = DESKTOP, scheme: str = "light") -> None:
        tab.as_new(viewport, scheme)
        self.tab, self.page = tab, tab.page
        self.base = address.partition("?")[0]
        self.page.goto(address)
        self.page.locator("dl.figures").wait_for()  # the page without the token, when all is read
        assert self.page.url == self.base

    @property
    def odd(self) -> list[str]:
        return [*self.tab.said, *(url for url in self.tab.asked if not url.startswith(self.base))]

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

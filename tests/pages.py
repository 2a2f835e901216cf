"""The pages that users read, taken apart: code, commands, links and anchors; what is tested of them is elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["PAGES", "ROOT", "anchors", "code", "commands", "examples", "inline_code", "links"]

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "cluster/*.md")
    for path in sorted(ROOT.glob(pattern))
)


def examples() -> dict[tuple[str, str, int], str]:
    """The fenced blocks of all pages, by page, language and place among the page's blocks of that language."""
    found: dict[tuple[str, str, int], str] = {}
    for page in PAGES:
        for token in _tokens(_read(page)):
            if token.type == "fence":
                number = sum(key[:2] == (page, token.info) for key in found)
                found[page, token.info, number] = token.content
    return found


def code(text: str) -> list[str]:
    """The lines of a page's indented blocks, which are of a shell; a line that goes on in the next one is joined."""
    blocks = [token.content for token in _tokens(text) if token.type == "code_block"]
    return [line.strip() for block in blocks for line in re.sub(r"\\\n *", "", block).splitlines()]


def inline_code(text: str) -> list[str]:
    """What stands in backticks in a page's prose and tables."""
    return [token.content.replace("\n", " ") for token in _inline(text) if token.type == "code_inline"]


def commands(text: str) -> list[str]:
    """A page's lines that start a program of ours, Ray's or Python's, without what stands before it.

    From its indented blocks, and from the first line of a fenced one, as in `# colour.py, for: pixelbrain run ...`.
    """
    headers = [token.content.splitlines()[0] for token in _tokens(text) if token.type == "fence"]
    lines = code(text) + [line.partition("for: ")[2] for line in headers]
    words = [re.sub(r"^(\$ )?([A-Z_]+=\S+ )?(uv run )?", "", part) for line in lines for part in line.split(" && ")]
    return [line for line in words if re.match(r"(pixelbrain|tag_identity|ray|python|pytest) ", line)]


def links(text: str) -> list[str]:
    """Where a page's links and pictures lead, in their order."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(text)]
    return [str(target) for target in found if target]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    tokens = _tokens(text)
    titles = [after.content for token, after in zip(tokens, tokens[1:], strict=False) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def _inline(text: str) -> Iterator[Token]:
    for token in _tokens(text):
        yield from token.children or ()

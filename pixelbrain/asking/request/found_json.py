"""The JSON object in what a model says: after its thoughts, in a fence, amid prose, or the right one of several."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

#: The end of a model's thoughts, as its own marks set them off; a server that reads the marks takes them out itself.
_THOUGHTS_END = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
#: A text may hold its line ends as they are, as models write them.
_DECODER = json.JSONDecoder(strict=False)
#: What models write that is not JSON, and can mean but one thing: texts in single quotes, comments, Python's words,
#: names without quotes, a comma after the last member. Texts are matched first, so that nothing in them is changed; one
#: that does not end goes on to the end, as to look for its end from each of its quotes would take the square.
_TEXT = r'("(?:[^"\\]|\\.)*"?)'
_LOOSE = re.compile(
    _TEXT + r"|('((?:[^'\\\n]|\\.)*)('?))|(//[^\n]*)|\b(True|False|None)\b|\b([A-Za-z_]\w*)(?=\s*:)", re.DOTALL
)
_LAST_COMMA = re.compile(_TEXT + r"|,(?=\s*[}\]])", re.DOTALL)
_PYTHON = {"True": "true", "False": "false", "None": "null"}
#: Braces at which an object is looked for, at most: text that is nothing but braces takes no time to speak of.
_MOST_STARTS = 1000


def without_thoughts(text: str) -> str:
    """What comes after a model's thoughts; all of a text that has none, or that ends in them.

    Chat templates may write the opening mark themselves, so that a reply begins amid the thoughts.
    """
    return _THOUGHTS_END.split(text)[-1]


def find_object(text: str, misfits: Callable[[dict[str, Any]], int]) -> Any:
    """The JSON object that answers.

    Args:
        text: a model's reply.
        misfits: how much of what was asked for an object lacks; 0: it fits.

    Returns:
        The last object that fits: a model may think aloud before it answers. Else the one that lacks least, and where
        there is no object, whatever JSON the text is.

    Raises:
        ValueError: no object, and the text is no JSON.
    """
    best: tuple[int, dict[str, Any]] | None = None
    answer = without_thoughts(text)
    for part in dict.fromkeys((answer, _strict(answer), text, _strict(text))):
        for found in _objects(part):
            lacking = misfits(found)
            if best is None or lacking <= best[0]:
                best = lacking, found
        if best is not None and best[0] == 0:  # what was only thought counts where nothing else does
            break
    if best is not None:
        return best[1]
    whole = _loads(answer)
    return _loads(whole) if isinstance(whole, str) else whole  # JSON in a JSON text


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _strict(text: str) -> str:
    """The text with what is loose in it from its first brace on written as JSON has it."""

    def written(found: re.Match[str]) -> str:
        text, quoted, single, end, _comment, python, name = found.groups()
        if end:
            return json.dumps(single.replace("\\'", "'"))
        return text or quoted or _PYTHON.get(python, "") or (json.dumps(name) if name else "")

    before, brace, after = text.partition("{")
    return before + _LAST_COMMA.sub(r"\1", _LOOSE.sub(written, brace + after))


def _within(value: Any, deepest: int = 3) -> Iterator[dict[str, Any]]:
    """The objects in an object or a list."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if deepest:
            yield from _within(inner, deepest - 1)
        if isinstance(inner, dict):
            yield inner


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in a text, in its order, each after those that it holds, which models wrap answers in."""
    at = text.find("{")
    for _ in range(_MOST_STARTS):
        if at < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            return
        except ValueError:
            end = at + 1
        else:
            yield from _within(found)
            yield found
        at = text.find("{", end)

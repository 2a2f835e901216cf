"""The text of an expression becomes a tree: Python's parser makes it, after what is written otherwise here."""

from __future__ import annotations

import ast
import keyword
import re
import warnings

from pixelbrain.errors import ConfigError
from pixelbrain.shown import shown

#: Longer than any that a person writes; it bounds the parser's work.
_MAX_CHARACTERS = 4000

CONSTANTS = {"null": None, "true": True, "false": False}

#: Words of Python that are none here: a question may be called class.
_NAMES = sorted({*keyword.kwlist} - {"and", "or", "not", "in", "is", "None", "True", "False"})

#: What Python writes otherwise, outside of texts and comments: = for ==, and contains, for which @ stands meanwhile.
_OURS = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\#.*|(?P<is>(?<![=<>!:])=(?!=))|(?P<has>\bcontains\b)|@"""
    rf"|(?P<name>\b(?:{'|'.join(_NAMES)})\b)"
)

#: What people write who come from SQL or C, and what it is here.
_HABITS = (
    (re.compile(r"<>"), "inequality is written !="),
    (re.compile(r"&&|\|\||!(?!=)"), "write and, or, not"),
    (re.compile(r"\b(AND|OR|NOT|IN|IS|NULL|CONTAINS)\b"), "write and, or, not, in, is, null in lower case"),
    (re.compile(r"\bnot\s+contains\b"), 'write not people contains "Ada"'),
    (re.compile(r"\b(like|LIKE|between|BETWEEN)\b"), "write 'cat' in label, and 1 <= n_faces <= 3"),
)


def all_of(*texts: str | None) -> str | None:
    """The expression that is true where all of these are; None where there is none."""
    found = [text for text in texts if text is not None]
    return " and ".join(f"({text}\n)" for text in found) if len(found) > 1 else next(iter(found), None)


def names_in(text: str) -> set[str]:
    """The names that an expression uses, known or not. Raises `ConfigError`: it cannot be read."""
    found = [node for node in ast.walk(parse(text)) if isinstance(node, (ast.Name, ast.Attribute))]
    inner = {node.value for node in found if isinstance(node, ast.Attribute)}
    return {ast.unparse(node) for node in found if node not in inner} - CONSTANTS.keys()


def parse(text: str) -> ast.expr:
    """The tree of an expression, as Python's parser makes it. Raises `ConfigError`: it cannot be read."""
    if not text.strip():
        raise ConfigError("where is empty: write something such as n_faces > 0, or leave it out")
    if len(text) > _MAX_CHARACTERS:
        raise ConfigError(f"where has {len(text):,} characters: at most {_MAX_CHARACTERS:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # about backslashes in texts
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(_python(text), mode="eval").body
    except SyntaxError as error:
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)
        hint = next((f"; {hint}" for habit, hint in _HABITS if habit.search(unquoted)), "")
        offset = error.offset or 0
        place = f" at character {_written(text, offset - 1)}" if offset > 1 and error.lineno == 1 else ""
        raise ConfigError(f"where cannot be read{place}: {shown(text)}{hint}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(f"where cannot be read: {shown(text)}") from None
    if not isinstance(tree, ast.List) or len(tree.elts) != 1:
        raise ConfigError(f"where cannot be read: {shown(text)} is not one expression")
    return tree.elts[0]


def _as_python(found: re.Match[str]) -> str:
    if found[0] == "@":
        return "$"  # which Python does not know either
    if found["name"]:
        # its first letter at full width: no keyword, and the same name, as Python takes one letter for the other
        return chr(ord(found[0][0]) + 0xFEE0) + found[0][1:]
    return "==" if found["is"] else "@".ljust(len("contains")) if found["has"] else found[0]


def place_of(text: str, node: ast.expr) -> str:
    """Where in an expression a node of its tree begins, for a message."""
    if node.lineno != 1:
        return "in "
    before = _python(text).encode()[: node.col_offset].decode()  # Python counts bytes
    return f"at character {_written(text, len(before))} of "


def _python(text: str) -> str:
    """In brackets, so that it may run over lines; one more bracket in the text, and it is no list of one."""
    return f"[{_OURS.sub(_as_python, text)}\n]"


def _written(text: str, offset: int) -> int:
    """Where in a text is what Python's parser, which sees some more characters, says is at `offset`."""
    ours = [found.start() + shift for shift, found in enumerate(f for f in _OURS.finditer(text) if f["is"])]
    return offset - sum(start < offset - 2 for start in ours)

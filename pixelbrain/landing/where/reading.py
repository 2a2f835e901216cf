"""From the text of an expression to its tree, by Python's parser, with what Python writes otherwise made so."""

from __future__ import annotations

import ast
import itertools
import keyword
import re
import warnings

from pixelbrain.errors import ConfigError
from pixelbrain.shown import shown

#: Longer than any that a person writes; it bounds the parser's work.
_MAX_CHARACTERS = 4000

#: Words of Python that are none here: a question may be called class.
_NAMES = {*keyword.kwlist} - {"and", "or", "not", "in", "is", "None", "True", "False"}

#: What Python writes otherwise, outside of texts and comments: = for ==; contains, for which @ stands meanwhile; and
#: what is called like words of its own, such as `class`, or `dogs.is`.
_OURS = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\#.*|(?P<is>(?<![=<>!:])=(?!=))|(?P<has>(?<!\.)\bcontains\b)|@"""
    rf"|(?P<word>(?<=\.)(?:{'|'.join(keyword.kwlist)})\b|\b(?:{'|'.join(sorted(_NAMES))})\b)"
)
_WIDE = 0xFEE0  # from a letter to its wide form, which is the same letter in names (NFKC)

#: What people write who come from SQL or C, and what it is here.
_HABITS = (
    (re.compile(r"<>"), "inequality is written !="),
    (re.compile(r"&&|\|\||!(?!=)"), "write and, or, not"),
    (re.compile(r"\b(AND|OR|NOT|IN|IS|NULL|CONTAINS)\b"), "write and, or, not, in, is, null in lower case"),
    (re.compile(r"\bnot\s+contains\b"), 'write not people contains "Ada"'),
    (re.compile(r"\b(like|LIKE|between|BETWEEN)\b"), "write 'cat' in label, and 1 <= n_faces <= 3"),
)


def read_tree(text: str) -> ast.expr:
    """The tree of an expression, of any nodes. Raises `ConfigError`: it cannot be read, with the place, and a hint."""
    if not text.strip():
        raise ConfigError("where is empty: write something such as n_faces > 0, or leave it out")
    if len(text) > _MAX_CHARACTERS:
        raise ConfigError(f"where has {len(text):,} characters: at most {_MAX_CHARACTERS:,}")
    tokens = list(_OURS.finditer(text))
    for one, next_one in itertools.pairwise(tokens):  # Python would join them: 'it''s' is no it's
        if {one[0][0], next_one[0][0]} <= {"'", '"'} and not text[one.end() : next_one.start()].strip():
            way = "a text with a quote in it is \"it's\", or 'it\\'s'"
            raise ConfigError(f"where cannot be read at character {next_one.start() + 1}: {shown(text)}; {way}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # about backslashes in texts
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(_for_python(text), mode="eval").body
    except SyntaxError as error:
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)
        hint = next((f"; {hint}" for habit, hint in _HABITS if habit.search(unquoted)), "")
        offset = error.offset or 0
        place = f" at character {_place_in(text, offset - 1)}" if offset > 1 and error.lineno == 1 else ""
        raise ConfigError(f"where cannot be read{place}: {shown(text)}{hint}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(f"where cannot be read: {shown(text)}") from None
    if not isinstance(tree, ast.List) or len(tree.elts) != 1:
        raise ConfigError(f"where cannot be read: {shown(text)} is not one expression")
    return tree.elts[0]


def _for_python(text: str) -> str:
    """In brackets, so that it may run over lines; one more bracket in the text, and it is no list of one."""
    return f"[{_OURS.sub(_as_python, text)}\n]"


def _as_python(found: re.Match[str]) -> str:
    if found[0] == "@":
        return "$"  # which Python does not know either
    if found["word"]:  # Python reads the same name in it, and no word of its own
        return chr(ord(found[0][0]) + _WIDE) + found[0][1:]
    return "==" if found["is"] else "@".ljust(len("contains")) if found["has"] else found[0]


def place_of(text: str, node: ast.expr) -> int:
    """At which character of a text's first line a node of its tree is; the tree counts bytes."""
    line = _for_python(text).partition("\n")[0]
    return _place_in(text, len(line.encode()[: node.col_offset].decode()))


def _place_in(text: str, offset: int) -> int:
    """Where in a text is what Python's parser, which sees some more characters, says is at `offset`."""
    ours = [found.start() + shift for shift, found in enumerate(f for f in _OURS.finditer(text) if f["is"])]
    return offset - sum(start < offset - 2 for start in ours)

"""Which images to ask about: a small expression over what is known of them, checked and applied without `eval`.

    n_faces > 0 and label in ("tabby", "tiger cat") and not is_outdoors
    label_score >= 0.5 or label is null
    "beach" in tags

Comparisons, `and`, `or`, `not`, `in`, `is null`, `is not null`; names, numbers, texts, `true`, `false`. `in` looks for
a value in a list of them, in a column of lists, and for a part of a text in a column of texts. What is said of each
face of an image is compared face by face, and true where it is of any. As in SQL, a comparison with what is not known
is neither true nor false, and an image is asked about only if the whole is true.

Python's parser makes the tree, of which only the nodes named here are accepted; Arrow computes the rest.
"""

from __future__ import annotations

import ast
import difflib
import functools
import operator
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.asking.questions.schemas import shown
from pixelbrain.errors import ConfigError

#: Longer than any that a person writes; it bounds the parser's work.
_MAX_CHARACTERS = 4000

_COMPARISONS = {
    ast.Eq: (operator.eq, pc.equal),
    ast.NotEq: (operator.ne, pc.not_equal),
    ast.Lt: (operator.lt, pc.less),
    ast.LtE: (operator.le, pc.less_equal),
    ast.Gt: (operator.gt, pc.greater),
    ast.GtE: (operator.ge, pc.greater_equal),
}
_FACE = "face"
_CONSTANTS = {"null": None, "true": True, "false": False}

#: What people write who come from SQL or C, and what it is here.
_HABITS = (
    (re.compile(r"(?<![=<>!])=(?!=)"), "equality is written =="),
    (re.compile(r"<>"), "inequality is written !="),
    (re.compile(r"&&|\|\||!(?!=)"), "write and, or, not"),
    (re.compile(r"\b(AND|OR|NOT|IN|IS|NULL)\b"), "write and, or, not, in, is, null in lower case"),
)


@dataclass(frozen=True, kw_only=True)
class Where:
    """A checked expression. Make one with `parse_where`."""

    text: str
    types: Mapping[str, pa.DataType] = field(repr=False, compare=False)  # of what it names: `label`, `module.field`
    #: Of what it names and no landed row has: columns beside an `image_id`.
    beside: pa.Table = field(
        default_factory=lambda: pa.table({"image_id": pa.array([], pa.string())}), repr=False, compare=False
    )

    def mask(self, table: pa.Table) -> pa.BooleanArray:
        """Which rows the expression is true for; no nulls.

        Args:
            table: with a column for each of `types`, under exactly that name; one of Arrow's type null, as a batch
                in which nothing is known of it may have, is taken for one of its own type.

        Raises:
            ConfigError: a column has a type for which the expression makes no sense.
        """
        return pc.fill_null(_Evaluation(self.text, table, self.types).truth(_parse(self.text)), False)


def parse_where(text: str, known: Mapping[str, pa.DataType]) -> Where:
    """Check an expression.

    Args:
        text: see the module's docstring.
        known: the type of every name that may be used: what is known of every image after `pixelbrain run`, answers by
            their field, and users' modules as `module.field`.

    Raises:
        ConfigError: it cannot be read, uses a name that is not known, or compares what cannot be compared; the message
            names the place.
    """
    evaluation = _Evaluation(text, pa.schema(known).empty_table(), known)
    evaluation.truth(_parse(text))  # on no rows: all names and types are looked at
    return Where(text=text, types={name: known[name] for name in evaluation.used})


def of_each_face(kind: pa.DataType) -> pa.DataType:
    """The type of a column of lists of this type, one value a face: comparisons are true where they are of any."""
    return pa.list_(pa.field(_FACE, kind))


def names_in(text: str) -> set[str]:
    """The names that an expression uses, known or not. Raises `ConfigError`: it cannot be read."""
    found = [node for node in ast.walk(_parse(text)) if isinstance(node, (ast.Name, ast.Attribute))]
    inner = {node.value for node in found if isinstance(node, ast.Attribute)}
    return {ast.unparse(node) for node in found if node not in inner} - _CONSTANTS.keys()


def _parse(text: str) -> ast.expr:
    if not text.strip():
        raise ConfigError("where is empty: write something such as n_faces > 0, or leave it out")
    if len(text) > _MAX_CHARACTERS:
        raise ConfigError(f"where has {len(text):,} characters: at most {_MAX_CHARACTERS:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # about backslashes in texts
            warnings.simplefilter("ignore", DeprecationWarning)
            # in brackets, so that it may run over lines; one more bracket in the text, and it is no list of one
            tree = ast.parse(f"[{text}\n]", mode="eval").body
    except SyntaxError as error:
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)
        hint = next((f"; {hint}" for habit, hint in _HABITS if habit.search(unquoted)), "")
        offset = error.offset or 0
        place = f" at character {offset - 1}" if offset > 1 and error.lineno == 1 else ""
        raise ConfigError(f"where cannot be read{place}: {shown(text)}{hint}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(f"where cannot be read: {shown(text)}") from None
    if not isinstance(tree, ast.List) or len(tree.elts) != 1:
        raise ConfigError(f"where cannot be read: {shown(text)} is not one expression")
    return tree.elts[0]


@dataclass
class _Evaluation:
    """One walk over an expression's tree, on the columns of one table."""

    text: str
    table: pa.Table
    types: Mapping[str, pa.DataType]
    used: set[str] = field(default_factory=set)

    def truth(self, node: ast.expr) -> pa.BooleanArray:
        """What can stand alone, beside `and`, `or`, `not`."""
        if isinstance(node, ast.BoolOp):
            combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
            return functools.reduce(combine, map(self.truth, node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return pc.invert(self.truth(node.operand))
        if isinstance(node, ast.Compare):
            links = map(self.comparison, [node.left, *node.comparators], node.ops, node.comparators)
            return functools.reduce(pc.and_kleene, links)
        value = self.value(node)
        if _is_of_faces(value) and pa.types.is_boolean(value.type.value_type):
            return _any_of(value, pc.list_flatten(value))
        if isinstance(value, bool):
            return pa.array(np.full(len(self.table), value))
        if not isinstance(value, pa.Array) or not pa.types.is_boolean(value.type):
            raise self.wrong(node, "is neither true nor false: compare it with something")
        return value

    def comparison(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> pa.BooleanArray:
        if isinstance(operation, (ast.Is, ast.IsNot)):
            return self.is_null(left, operation, right)
        if isinstance(operation, (ast.In, ast.NotIn)):
            found = self.contains(left, right)
            return pc.invert(found) if isinstance(operation, ast.NotIn) else found
        return self.compare(left, operation, right)

    def is_null(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> pa.BooleanArray:
        column = self.value(left)
        constant = right.value if isinstance(right, ast.Constant) else _CONSTANTS.get(getattr(right, "id", ""), "")
        if constant is not None:
            raise self.wrong(right, "cannot stand after is: only null can, other values are compared with ==")
        if not isinstance(column, pa.Array):
            raise self.wrong(left, "is no column: only a column can be null")
        return pc.is_null(column) if isinstance(operation, ast.Is) else pc.is_valid(column)

    def compare(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> pa.BooleanArray:
        first, second = self.value(left), self.value(right)
        lists = first if _is_of_faces(first) and not isinstance(second, pa.Array) else None
        if lists is not None:
            first = pc.list_flatten(lists)
        kinds = _kind(first), _kind(second)
        if "null" in kinds:
            raise self.wrong(right if kinds[1] == "null" else left, "is compared: write is null, or is not null")
        if kinds[0] != kinds[1]:
            raise self.wrong(right, f"is {kinds[1]}, and is compared with {kinds[0]}")
        of_python, of_arrow = _COMPARISONS[type(operation)]
        if kinds[0] == "a list" or (kinds[0] == "true or false" and not isinstance(operation, (ast.Eq, ast.NotEq))):
            raise self.wrong(left, f"is {kinds[0]}, and cannot be compared so")
        if not isinstance(first, pa.Array) and not isinstance(second, pa.Array):
            return pa.array(np.full(len(self.table), of_python(first, second)))
        found = of_arrow(_as_column(first, second), _as_column(second, first))
        return found if lists is None else _any_of(lists, found)

    def contains(self, left: ast.expr, right: ast.expr) -> pa.BooleanArray:
        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            return self.one_of(left, right)
        part, whole = self.value(left), self.value(right)
        if isinstance(part, pa.Array) or not isinstance(whole, pa.Array):
            raise self.wrong(right, 'cannot be searched: write label in ("cat", "dog"), or "beach" in tags')
        if _kind(whole) == "a text" and isinstance(part, str):
            return pc.match_substring(whole, part)
        if pa.types.is_list(whole.type) and _kind(part) == _kind_of_type(whole.type.value_type):
            return _lists_with(whole, part)
        raise self.wrong(left, f"is {_kind(part)}, and is looked for in {_kind(whole)}")

    def one_of(self, left: ast.expr, right: ast.Tuple | ast.List | ast.Set) -> pa.BooleanArray:
        column, values = self.value(left), [self.value(one) for one in right.elts]
        if not isinstance(column, pa.Array) or any(isinstance(value, pa.Array) for value in values):
            raise self.wrong(left, "and the list after in are a column and values")
        for node, value in zip(right.elts, values, strict=True):
            if _kind(value) != _kind(column):
                raise self.wrong(node, f"is {_kind(value)}, and is compared with {_kind(column)}")
        if not values:
            raise self.wrong(right, "is an empty list")
        if pa.types.is_integer(column.type):
            column = column.cast(pa.float64())  # 1 is in (1.0, 2.5)
        found = pc.is_in(column, value_set=pa.array(values, column.type))
        return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))

    def value(self, node: ast.expr) -> Any:
        """A column as an array, or a constant."""
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, (type(None), int, float, str)):
                raise self.wrong(node, "is no value that a column has")
            if isinstance(node.value, int) and not -(2**63) <= node.value < 2**63:
                raise self.wrong(node, "is too large")
            if isinstance(node.value, str) and any("\ud800" <= character <= "\udfff" for character in node.value):
                raise self.wrong(node, "has half a surrogate pair, which is no character: write the character itself")
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self.value(node.operand)
            if _kind(number) != "a number" or isinstance(number, pa.Array):
                raise self.wrong(node, "is no number")
            return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.Name) and node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.column(node)
        if isinstance(node, ast.BinOp):
            raise self.wrong(node, "is arithmetic, which is not there; conditions are joined with and, or")
        raise self.wrong(node, "is not understood: comparisons, and, or, not, in, is null are")

    def column(self, node: ast.Name | ast.Attribute) -> pa.Array:
        name = ast.unparse(node)
        known = self.table.column_names
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise self.wrong(node, f"is not known; {hint}known are {', '.join(known)}")
        self.used.add(name)
        column = self.table.column(name)
        if pa.types.is_null(column.type):
            column = column.cast(self.types[name])
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

    def wrong(self, node: ast.expr, reason: str) -> ConfigError:
        place = f"at character {node.col_offset} of " if node.lineno == 1 else "in "
        return ConfigError(f"where: {ast.unparse(node)} {reason} ({place}{shown(self.text)})")


def _kind(value: Any) -> str:
    if isinstance(value, pa.Array):
        return _kind_of_type(value.type)
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "null"
    return "a text" if isinstance(value, str) else "a number"


def _kind_of_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "a number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "a text"
    return "a list" if pa.types.is_list(kind) else f"of type {kind}"


def _as_column(value: Any, other: Any) -> Any:
    """A constant as precise as the column that it is compared with: 0.9 is not the float32 next to 0.9."""
    if isinstance(value, pa.Array) or not pa.types.is_floating(other.type):
        return value
    return pa.scalar(float(value), other.type)


def _is_of_faces(value: Any) -> bool:
    """Whether a column is of a type of `of_each_face`."""
    is_list = isinstance(value, pa.Array) and pa.types.is_list(value.type)
    return is_list and value.type.value_field.name == _FACE


def _lists_with(lists: pa.ListArray, value: Any) -> pa.BooleanArray:
    """Which of the lists hold a value; null where there is no list."""
    return _any_of(lists, pc.equal(pc.list_flatten(lists), value))


def _any_of(lists: pa.ListArray, hits: pa.BooleanArray) -> pa.BooleanArray:
    """Which of the lists have a thing that is hit; null where there is no list."""
    holds = np.zeros(len(lists), bool)
    holds[np.asarray(pc.list_parent_indices(lists).filter(pc.fill_null(hits, False)))] = True
    return pc.if_else(pc.is_valid(lists), pa.array(holds), pa.scalar(None, pa.bool_()))

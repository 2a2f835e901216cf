"""Which images are meant: a small expression over what is known of them, checked and applied without `eval`.

    n_faces > 0 and label in ("tabby", "tiger cat") and not is_outdoors
    label_score >= 0.5 or label is null
    faces.score > 0.99 and person = "Ada" and not people contains "Bob"

Comparisons, `and`, `or`, `not`, `in`, `contains`, `is null`, `is not null`; names, numbers, texts, `true`, `false`.
`in` looks for a value in a list of them, in a column of lists, and for a part of a text in a column of texts;
`contains` is the same, the other way round. A comparison with a column of lists is true where it is for any of its
values, and `!=` where none is equal. As in SQL, a comparison with what is not known is neither true nor false, and an
image is meant only if the whole is true. docs/filters.md has it all in a table.

Of the tree that `reading` makes only the nodes named here are accepted; Arrow computes the rest.
"""

from __future__ import annotations

import ast
import difflib
import functools
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain.errors import ConfigError
from pixelbrain.landing.registry import plain
from pixelbrain.landing.where.reading import place_of, read_tree
from pixelbrain.shown import shown

_COMPARISONS = {
    ast.Eq: (operator.eq, pc.equal),
    ast.NotEq: (operator.ne, pc.not_equal),
    ast.Lt: (operator.lt, pc.less),
    ast.LtE: (operator.le, pc.less_equal),
    ast.Gt: (operator.gt, pc.greater),
    ast.GtE: (operator.ge, pc.greater_equal),
}
_CONSTANTS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Where:
    """Between the modules of a `Pipeline`: those behind it look only at images for which an expression is true.

        Pipeline(loader, [FacenetEmbedderModule(), Where("n_faces > 0"), ResnetClassifierModule()])

    Raises:
        ConfigError: it cannot be read; of names, what has landed says which there are.
    """

    text: str

    def __post_init__(self) -> None:
        names_in(self.text)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A checked expression. Make one with `parse_where`."""

    text: str
    types: Mapping[str, pa.DataType] = field(repr=False, compare=False)  # of what it names: `label`, `module.field`
    values: Mapping[str, Collection[str]] = field(default_factory=dict, repr=False, compare=False)  # see `parse_where`
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
        evaluation = _Evaluation(self.text, table, self.types, self.values)
        return pc.fill_null(evaluation.truth(read_tree(self.text)), False)


def parse_where(
    text: str, known: Mapping[str, pa.DataType], values: Mapping[str, Collection[str]] = MappingProxyType({})
) -> Condition:
    """Check an expression.

    Args:
        text: see the module's docstring.
        known: the type of every name that may be used: what is known of every image after `pixelbrain run`, answers by
            their field, and users' modules as `module.field`.
        values: of columns of names of people, all that there are, as `same_name` makes them: a text that is compared
            with one is any of these, however its letters are written.

    Raises:
        ConfigError: it cannot be read, uses a name that is not known, or compares what cannot be compared; the message
            names the place.
    """
    evaluation = _Evaluation(text, pa.schema(known).empty_table(), known, values)
    evaluation.truth(read_tree(text))  # on no rows: all names and types are looked at
    types = {name: known[name] for name in evaluation.used}
    return Condition(text=text, types=types, values={name: values[name] for name in types.keys() & values.keys()})


def same_name(name: str) -> str:
    """The same for all ways to write the name of somebody, in capitals or not."""
    return plain(name).casefold()


def all_of(*texts: str | None) -> str | None:
    """The expression that is true where all of these are; None where there is none."""
    found = [text for text in texts if text is not None]
    return " and ".join(f"({text}\n)" for text in found) if len(found) > 1 else next(iter(found), None)


def names_in(text: str) -> set[str]:
    """The names that an expression uses, known or not. Raises `ConfigError`: it cannot be read."""
    found = [node for node in ast.walk(read_tree(text)) if isinstance(node, (ast.Name, ast.Attribute))]
    inner = {node.value for node in found if isinstance(node, ast.Attribute)}
    return {ast.unparse(node) for node in found if node not in inner} - _CONSTANTS.keys()


@dataclass
class _Evaluation:
    """One walk over an expression's tree, on the columns of one table."""

    text: str
    table: pa.Table
    types: Mapping[str, pa.DataType]
    values: Mapping[str, Collection[str]] = field(default_factory=dict)
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
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            return self.contains(node.right, node.left)
        value = self.value(node)
        if _is_list(value) and pa.types.is_boolean(value.type.value_type):
            return _any(value, lambda one, _of: one)
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
        first, second = self.value(left, beside=right), self.value(right, beside=left)
        if _is_list(first) and _is_list(second):
            raise self.wrong(right, "is a list, and is compared with a list")
        if (_is_list(first) or _is_list(second)) and isinstance(operation, ast.NotEq):
            return pc.invert(self.compare(left, ast.Eq(), right))
        if _is_list(first):
            return _any(first, lambda one, of: self.compare_values(left, one, operation, right, _of(second, of)))
        if _is_list(second):
            return _any(second, lambda one, of: self.compare_values(left, _of(first, of), operation, right, one))
        return self.compare_values(left, first, operation, right, second)

    def compare_values(
        self, left: ast.expr, first: Any, operation: ast.cmpop, right: ast.expr, second: Any
    ) -> pa.BooleanArray:
        kinds = _kind(first), _kind(second)
        if "null" in kinds:
            raise self.wrong(right if kinds[1] == "null" else left, "is compared: write is null, or is not null")
        if kinds[0] != kinds[1]:
            raise self.wrong(right, f"is {kinds[1]}, and is compared with {kinds[0]}")
        of_python, of_arrow = _COMPARISONS[type(operation)]
        ordered = not isinstance(operation, (ast.Eq, ast.NotEq))
        if kinds[0] not in _COMPARED or (kinds[0] == "true or false" and ordered):
            raise self.wrong(left, f"is {kinds[0]}, and cannot be compared so")
        if not isinstance(first, pa.Array) and not isinstance(second, pa.Array):
            return pa.array(np.full(len(self.table), of_python(first, second)))
        return of_arrow(_as_column(first, second), _as_column(second, first))

    def contains(self, left: ast.expr, right: ast.expr) -> pa.BooleanArray:
        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            return self.one_of(left, right)
        part, whole = self.value(left, beside=right), self.value(right)
        if isinstance(part, pa.Array) or not isinstance(whole, pa.Array):
            raise self.wrong(right, 'cannot be searched: write label in ("cat", "dog"), or "beach" in tags')
        if _kind(whole) == "a text" and isinstance(part, str):
            return pc.match_substring(whole, part)
        if _is_list(whole) and _kind(part) == _kind_of_type(whole.type.value_type):
            return _any(whole, lambda one, _of: pc.equal(one, _as_column(part, one)))
        raise self.wrong(left, f"is {_kind(part)}, and is looked for in {_kind(whole)}")

    def one_of(self, left: ast.expr, right: ast.Tuple | ast.List | ast.Set) -> pa.BooleanArray:
        column, values = self.value(left), [self.value(one, beside=left) for one in right.elts]
        if not isinstance(column, pa.Array) or any(isinstance(value, pa.Array) for value in values):
            raise self.wrong(left, "and the list after in are a column and values")
        kind = column.type.value_type if _is_list(column) else column.type
        for node, value in zip(right.elts, values, strict=True):
            if _kind(value) != _kind_of_type(kind):
                raise self.wrong(node, f"is {_kind(value)}, and is compared with {_kind_of_type(kind)}")
        if not values:
            raise self.wrong(right, "is an empty list")
        kind = pa.float64() if pa.types.is_integer(kind) else kind  # 1 is in (1.0, 2.5)

        def found(ones: pa.Array) -> pa.BooleanArray:
            there = pc.is_in(ones.cast(kind), value_set=pa.array(values, kind))
            return pc.if_else(pc.is_valid(ones), there, pa.scalar(None, pa.bool_()))

        return _any(column, lambda ones, _of: found(ones)) if _is_list(column) else found(column)

    def value(self, node: ast.expr, *, beside: ast.expr | None = None) -> Any:
        """A column as an array, or a constant; one `beside` a column of people is the name of somebody."""
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, (type(None), int, float, str)):
                raise self.wrong(node, "is no value that a column has")
            if isinstance(node.value, int) and not -(2**63) <= node.value < 2**63:
                raise self.wrong(node, "is too large")
            if isinstance(node.value, str) and any("\ud800" <= character <= "\udfff" for character in node.value):
                raise self.wrong(node, "has half a surrogate pair, which is no character: write the character itself")
            return self.somebody(node, beside) if isinstance(node.value, str) and beside else node.value
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

    def somebody(self, node: ast.Constant, beside: ast.expr) -> str:
        names = self.values.get(ast.unparse(beside)) if isinstance(beside, (ast.Name, ast.Attribute)) else None
        if names is None:
            return str(node.value)
        wanted = same_name(str(node.value))
        if wanted not in names:
            near = difflib.get_close_matches(wanted, names, n=1)
            hint = f"did you mean {shown(near[0])}? " if near else ""
            raise self.wrong(node, f"is nobody's name or id; {hint}`pixelbrain people list` names all")
        return wanted

    def column(self, node: ast.Name | ast.Attribute) -> pa.Array:
        name = ast.unparse(node)
        known = self.table.column_names
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise self.wrong(node, f"is not known; {hint}known are {', '.join(_in_short(known, name))}")
        self.used.add(name)
        column = self.table.column(name)
        if pa.types.is_null(column.type):
            column = column.cast(self.types[name])
        if pa.types.is_timestamp(column.type):  # as ISO 8601, so that any beginning of it can be compared: "2024-05"
            column = pc.strftime(column.cast(pa.timestamp("s", column.type.tz), safe=False), "%Y-%m-%dT%H:%M:%S")
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

    def wrong(self, node: ast.expr, reason: str) -> ConfigError:
        place = f"at character {place_of(self.text, node)} of " if node.lineno == 1 else "in "
        return ConfigError(f"where: {ast.unparse(node)} {reason} ({place}{shown(self.text)})")


#: Kinds of values that have an order, or are equal or not.
_COMPARED = frozenset({"a number", "a text", "true or false"})


def _is_list(value: Any) -> bool:
    return isinstance(value, pa.Array) and pa.types.is_list(value.type)


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
    if pa.types.is_struct(kind):
        return "several fields"
    return "a list" if pa.types.is_list(kind) else f"of type {kind}"


def _as_column(value: Any, other: Any) -> Any:
    """A constant as precise as the column that it is compared with: 0.9 is not the float32 next to 0.9."""
    if isinstance(value, pa.Array) or not pa.types.is_floating(other.type):
        return value
    return pa.scalar(float(value), other.type)


def _in_short(names: Collection[str], beside: str) -> list[str]:
    """Names, those of one module as `module.*`, unless they stand beside one that nobody knows."""
    head = beside.partition(".")[0]
    whole = {name for name in names if "." not in name or name.startswith(f"{head}.")}
    return list(dict.fromkeys(name if name in whole else f"{name.partition('.')[0]}.*" for name in names))


def _of(value: Any, parents: pa.Array) -> Any:
    """A value of each row, for each value of the rows' lists; a constant is itself."""
    return value.take(parents) if isinstance(value, pa.Array) else value


def _any(lists: pa.ListArray, test: Callable[[pa.Array, pa.Array], pa.BooleanArray]) -> pa.BooleanArray:
    """Which of the lists hold a value that passes; null where there is no list.

    `test` gets all values, and of each the row that it is in.
    """
    holds, rows = np.zeros(len(lists), bool), pc.list_parent_indices(lists)
    hits = pc.fill_null(test(pc.list_flatten(lists), rows), False)
    holds[np.asarray(rows.filter(hits))] = True
    return pc.if_else(pc.is_valid(lists), pa.array(holds), pa.scalar(None, pa.bool_()))

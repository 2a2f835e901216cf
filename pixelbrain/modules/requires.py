"""Modules that stand on others: who gives what they require, and in which order they run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pixelbrain.errors import ConfigError
from pixelbrain.modules.base import PipelineModule
from pixelbrain.modules.registry import MODULES

#: What modules that come along give, and are not called: for who has neither run nor landed them.
_GIVEN = {"faces": "facenet"}


@dataclass(frozen=True, kw_only=True)
class Giver:
    """A module, of this run or of an earlier one, as those see it that may stand on it."""

    name: str
    fields: Collection[str]  # of its struct
    requires: Collection[str] = ()  # by what name ever


def resolve(
    modules: Sequence[PipelineModule], landed: Callable[[], Sequence[Giver]]
) -> tuple[list[PipelineModule], dict[str, dict[str, str]]]:
    """The modules in an order in which each comes after those that it stands on, and which those are.

    A name in `requires` is that of a module, or of a field that one has; a module of the run comes before one that has
    landed, and what stands on the giver of a field does not give it again, whatever its own fields are called. Raises
    `ConfigError`: nothing gives what one requires, several do, or they stand on each other in a circle.

    Args:
        landed: those whose columns have landed; asked only where the run has not all that is required.

    Returns:
        The modules, those that stand on nothing where they stood; and for each that does, by the names that it
        requires, the modules that give it.
    """
    here = [Giver(name=m.name, fields=m.struct_type().names, requires=m.requires) for m in modules]
    stands_on = {
        module.name: {name: _find(module.name, name, here, landed) for name in module.requires}
        for module in modules
        if module.requires
    }
    by_name, ordered = {module.name: module for module in modules}, dict[str, PipelineModule]()

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle = " -> ".join([*above[above.index(name) :], name])
            raise ConfigError(f"modules stand on each other in a circle, and none can begin: {circle}")
        if name in by_name and name not in ordered:
            for below in stands_on.get(name, {}).values():
                add(below, (*above, name))
            ordered[name] = by_name[name]

    for name in by_name:
        add(name, ())
    return list(ordered.values()), stands_on


def _find(module: str, required: str, here: Sequence[Giver], landed: Callable[[], Sequence[Giver]]) -> str:
    """The module that gives what this one requires."""
    seen: list[Giver] = []
    for giving in (lambda: here, landed):
        givers = [one for one in giving() if one.name != module]
        seen += givers
        found = _givers(required, givers)
        if len(found) > 1:
            both = " and ".join(found)
            raise ConfigError(f"module {module} requires {required}, which {both} give: name one of them in requires")
        if found:
            return found[0]
    itself = next(one for one in here if one.name == module)
    if required == module or (required in itself.fields and required not in _GIVEN):
        raise ConfigError(f"module {module} requires {required}, which is its own: it stands on others alone")
    known = {*_GIVEN, *MODULES, *(name for one in seen for name in (one.name, *one.fields))}
    near = difflib.get_close_matches(required, known - {required}, n=1)
    hint = f"did you mean {near[0]}?" if near and required not in known else None
    name = _GIVEN.get(required, required)
    way = f"it with --module {name}" if name in MODULES else "what gives it, such as --module package.file:Class"
    raise ConfigError(
        f"module {module} requires {required}, which no module of this run gives, and none that has landed in OUT: "
        + (hint or f"run {way}, too, or over an OUT where that has landed")
    )


def _givers(required: str, givers: Sequence[Giver]) -> list[str]:
    """By name, or by a field; of those that have it, not the ones that stand on another one of them."""
    if any(one.name == required for one in givers):
        return [required]
    having = [one for one in givers if required in one.fields and required not in one.requires]
    names = {one.name for one in having}
    return [one.name for one in having if names.isdisjoint(one.requires)]

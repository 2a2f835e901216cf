"""How objects show themselves: in one short line, and in a notebook as a small table."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_FEW = 8  # of a list, all are shown


class Shown:
    """A class that is shown by a few of its values; a dataclass by its fields with `repr`, without what is empty."""

    def shown(self) -> Mapping[str, Any]:
        """The values, by name. It is quick and raises nothing: debuggers ask for it, too."""
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        found = {field.name: getattr(self, field.name) for field in fields if field.repr}
        return {name: value for name, value in found.items() if not _empty(value)}

    def shown_at_length(self) -> Mapping[str, Any]:
        """The same for a notebook, which is looked at on purpose."""
        return self.shown()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={_text(value)}' for name, value in self.shown().items())})"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(_text(value, long=True))}</td></tr>"
            for name, value in self.shown_at_length().items()
            if not _empty(value)
        )
        return f"<table><caption>{html.escape(type(self).__name__)}</caption>{''.join(rows)}</table>"


def _empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (Mapping, list, tuple)) and not value)


def _text(value: Any, *, long: bool = False) -> str:
    """A value in a few characters: `long` ones are for reading, with thousands apart and no quotes."""
    if isinstance(value, (float, Decimal)):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        items = [f"{_text(k, long=long)}: {_text(v, long=long)}" for k, v in value.items()]
        return ", ".join(items) if long else f"{{{', '.join(items)}}}"
    if isinstance(value, (list, tuple)):
        if len(value) > _FEW:
            return f"<{len(value):,} items>"
        items = [_text(one, long=long) for one in value]
        return ", ".join(items) if long else f"[{', '.join(items)}]"
    if long and isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) if long else repr(value)


def shown(value: Any) -> str:
    """A value in an error's message: short, and on one line."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

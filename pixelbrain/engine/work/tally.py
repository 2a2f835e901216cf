"""The count of what came of a block's images: small, so that nothing piles up in the object store."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema

#: What a block's work reports back: failures by kind, and seconds by activity, as JSON.
SUMMARY_SCHEMA = pa.schema(
    [(name, pa.int64()) for name in ("images", "failed", "turned")]
    + [("failures", pa.string()), ("seconds", pa.string())]
)


@dataclass
class Tally:
    """What a block's work comes to."""

    images: int = 0
    failed: int = 0
    turned: int = 0  # on their side or upside down, for all that their files say
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: dict[str, float] = field(default_factory=lambda: collections.defaultdict(float))

    def add(self, table: pa.Table, modules: Sequence[str]) -> None:
        """Count finished rows."""
        columns = {name: table[name] for name in ("status", "error_type")}
        columns |= {name: pc.struct_field(table[name], "error_type") for name in modules}
        if "facenet" in modules and table["facenet"].type.get_field_index("turn") >= 0:
            self.turned += pc.sum(pc.not_equal(pc.struct_field(table["facenet"], "turn"), 0)).as_py() or 0
        for outcome in pa.table(columns).to_pylist():
            if outcome["status"] == schema.Status.OK.value:
                kinds = [f"{name}: {outcome[name]}" for name in modules if outcome[name]]
            else:  # then no module has seen it
                kinds = [outcome["error_type"]]
            self.images += 1
            self.failed += bool(kinds)
            self.failures.update(kinds)

    def summary(self) -> pa.Table:
        """As one row of `SUMMARY_SCHEMA`."""
        texts = {"failures": json.dumps(self.failures), "seconds": json.dumps(self.seconds)}
        counts = {"images": self.images, "failed": self.failed, "turned": self.turned}
        return pa.Table.from_pylist([counts | texts], SUMMARY_SCHEMA)

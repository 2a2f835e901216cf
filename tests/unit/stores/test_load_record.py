"""What a load remembers changes with what landed, and with nothing else."""

from __future__ import annotations

import pyarrow as pa

from pixelbrain import schema
from pixelbrain.stores.load_record import GROUP_COLUMNS, IDENTITY_COLUMNS, table_digest


def _identities(**changes) -> pa.Table:
    rows = [
        {
            "face_id": f"\u00e9{n}#0",
            "image_id": f"\u00e9{n}",
            "identity_id": None if n % 3 else f"p{n}",
            "assigned": "x",
        }
        for n in range(100)
    ]
    rows[7].update(changes)
    return pa.Table.from_pylist(rows, schema=schema.IDENTITY_SCHEMA)


def test_a_table_digest_follows_its_values_only():
    table = _identities()
    digest = table_digest(table, IDENTITY_COLUMNS)
    assert len(digest) == 16
    assert table_digest(pa.concat_tables([table.slice(0, 30), table.slice(30)]), IDENTITY_COLUMNS) == digest
    assert table_digest(_identities(distance=0.5), IDENTITY_COLUMNS) == digest  # a document does not have it
    changes = ({"identity_id": "p"}, {"identity_id": ""}, {"face_id": "x"}, {"image_id": "x"})
    others = [table_digest(_identities(**change), IDENTITY_COLUMNS) for change in changes]
    others += [table_digest(table.slice(1), IDENTITY_COLUMNS), table_digest(None, IDENTITY_COLUMNS)]
    assert len({digest, *others}) == 7
    assert table_digest(table.slice(0, 0), IDENTITY_COLUMNS) == table_digest(None, IDENTITY_COLUMNS)


def test_distances_of_groups_count():
    rows = [{"image_id": "a", "group_id": "g", "distance": 0.25}, {"image_id": "b", "group_id": None, "distance": None}]
    table = pa.Table.from_pylist(rows, schema=schema.GROUP_SCHEMA)
    rows[0]["distance"] = 0.26
    other = pa.Table.from_pylist(rows, schema=schema.GROUP_SCHEMA)
    assert table_digest(table, GROUP_COLUMNS) != table_digest(other, GROUP_COLUMNS)


def test_rows_count_in_any_order():
    table = _identities()
    backwards = table.take(pa.array(range(99, -1, -1)))
    assert table_digest(backwards, IDENTITY_COLUMNS) == table_digest(table, IDENTITY_COLUMNS)

"""Which actor asks about what."""

from __future__ import annotations

import pyarrow as pa

from pixelbrain.engine.ask.run import _BLOCK_ROWS, _blocks_by_actor


def test_blocks_hold_every_image_once_and_copies_go_to_one_actor() -> None:
    hashes = [f"{number % 50:08x}" + "0" * 56 for number in range(200)] + [None]
    rows = pa.table({"image_id": [str(number) for number in range(201)], "sha256": hashes})
    queues = [list(queue) for queue in _blocks_by_actor(rows, 3)]
    assert all(len(block) <= _BLOCK_ROWS for queue in queues for block in queue)
    asked = [
        (number, row["image_id"], row["sha256"]) for number, queue in enumerate(queues) for b in queue for row in b
    ]
    assert sorted(int(image_id) for _, image_id, _ in asked) == list(range(201))
    assert len({(number, sha) for number, _, sha in asked if sha}) == 50

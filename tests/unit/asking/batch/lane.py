"""Runs of batches against a Batch API in memory."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixelbrain.asking.batch import run as lane
from pixelbrain.asking.batch.rounds import BatchReport
from pixelbrain.asking.batch.store import BatchStore
from pixelbrain.storage.open import open_storage
from tests.unit.asking.batch.fake_api import FakeApi, FakeMemory
from tests.unit.asking.batch.test_store import PRICE, SETTINGS


def photo(image_id: str) -> bytes:
    """Of each number another grey; "b" is no image."""
    if image_id == "b":
        return b"no image"
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (int(image_id) % 20 * 12,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


class Lane:
    """An OUT, a server and a journal."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch, api: FakeApi | None = None) -> None:
        self.api, self.memory, self.out = api or FakeApi(), FakeMemory(), open_storage(out)
        self.reads: list[str] = []
        self.store = BatchStore(self.out)
        monkeypatch.setattr(lane, "BatchApi", lambda _client: self.api)

    def run(self, *image_ids: str, **more: Any) -> BatchReport:
        return lane.run_batches(
            [{"image_id": image_id, "version": "1"} for image_id in image_ids],
            SETTINGS, PRICE, storage=self.out, client=None, memory=self.memory, read=self.read,
            **{"poll_s": 0.001, **more},
        )  # fmt: skip

    def read(self, image_id: str) -> bytes:
        self.reads.append(image_id)
        return photo(image_id)

    def statuses(self) -> Counter[str]:
        return Counter(record["status"] for record in self.memory.records)

"""Images opened in threads: each is a row, and those that can be decoded have an input for each module."""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading

import pytest
from PIL import ExifTags, Image

from pixelbrain.engine.work.meter import Meter
from pixelbrain.engine.work.opener import Opener
from pixelbrain.engine.work.worklist import WorkOrder
from pixelbrain.errors import ReadError
from pixelbrain.images.decode import DecodeTarget
from pixelbrain.images.loader import DataLoader
from pixelbrain.sources.base import ImageBytes
from pixelbrain.storage.open import open_storage
from tests.unit.engine.modules_for_tests import Size


class Small(Size):
    """Wants little of a photo, and says what it saw of it."""

    name = "small"
    decode_target = DecodeTarget(short_side_px=20)

    def preprocess(self, image):
        return image.pixels.shape


class Smaller(Small):
    """Wants less."""

    name = "smaller"
    decode_target = DecodeTarget(short_side_px=10)


class Heard(Meter):
    """Keeps how many bytes were read."""

    bytes = 0

    def read(self, bytes_: int) -> None:
        self.bytes += bytes_


@pytest.fixture
def entries(photo_folder) -> list[dict]:
    return [entry for table in DataLoader(str(photo_folder)).list_images() for entry in table.to_pylist()]


def opener(tmp_path, meter=None, **order) -> Opener:
    return Opener(WorkOrder(storage=open_storage(tmp_path / "out"), generation=1, states={}, **order), meter or Meter())


def test_batches_hold_every_image_and_inputs_of_the_good_ones(entries, photo_folder, tmp_path, encode):
    meter = Heard()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: "2024:05:01 12:34:56",
            ExifTags.Base.OffsetTimeOriginal: "+02:00",
        }
    )
    (photo_folder / "0.jpg").write_bytes(encode(size=(60, 40), exif=exif))
    batches = list(opener(tmp_path, meter).batches([entries[:4], entries[4:]], [Size(), Small()]))
    assert [len(batch.rows) for batch in batches] == [4, 3]
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    assert [row["image_id"] for row in rows] == [entry["image_id"] for entry in entries]
    for batch in batches:
        good = [i for i, row in enumerate(batch.rows.to_pylist()) if row["status"] == "ok"]
        assert batch.good == good and {name: len(given) for name, given in batch.inputs.items()} == {
            "size": len(good), "small": len(good),
        }  # fmt: skip
    first = next(row for row in rows if row["image_id"].endswith("/0.jpg"))
    data = (photo_folder / "0.jpg").read_bytes()
    assert (first["sha256"], first["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert first["taken_at"] == "2024-05-01T12:34:56+02:00"
    assert meter.bytes == sum(path.stat().st_size for path in photo_folder.rglob("*.*") if path.suffix != ".txt")


def test_a_photo_is_decoded_as_far_as_the_most_demanding_module_wants(entries, tmp_path):
    one = [entry for entry in entries if entry["image_id"].endswith("/0.jpg")]  # 60 x 40
    (batch,) = opener(tmp_path).batches([one], [Smaller(), Small()])
    assert batch.inputs == {"smaller": [(20, 30, 3)], "small": [(20, 30, 3)]}
    (batch,) = opener(tmp_path).batches([one], [Smaller()])
    assert batch.inputs == {"smaller": [(10, 15, 3)]}
    (batch,) = opener(tmp_path).batches([one], [Small(), Size()])
    assert batch.inputs["small"] == [(40, 60, 3)]


def test_a_row_has_the_version_that_was_read_unless_its_list_has_versions_of_its_own(entries, tmp_path):
    old = [{**entry, "version": "listed"} for entry in entries[:1]]
    (read,) = opener(tmp_path).batches([old], [Size()])
    assert read.rows["version"].to_pylist() == [entries[0]["version"]]
    (kept,) = opener(tmp_path, versions_as_read=False).batches([old], [Size()])
    assert kept.rows["version"].to_pylist() == ["listed"]


def test_one_batch_and_no_more_is_opened_ahead(entries, tmp_path):
    seen: queue.Queue[str] = queue.Queue()

    class Seen(Size):
        def preprocess(self, image):
            seen.put(image.image_id)

    good = [entry for entry in entries if not entry["image_id"].endswith(("broken.jpg", "empty.jpeg"))]
    batches = opener(tmp_path, threads=1).batches([[entry] for entry in good], [Seen()])
    next(batches)
    assert [seen.get(timeout=60) for _ in range(2)] == [entry["image_id"] for entry in good[:2]]
    with pytest.raises(queue.Empty):
        seen.get(timeout=0.1)
    assert list(opener(tmp_path).batches([], [Size()])) == []


def test_the_next_block_is_opened_a_batch_ahead_of_the_last_batch_of_the_one_before(entries, tmp_path):
    """Taken in two threads: nobody waits between blocks, and no more than a batch is ahead."""
    seen: queue.Queue[str] = queue.Queue()

    class Seen(Size):
        def preprocess(self, image):
            seen.put(image.image_id)

    good = [entry for entry in entries if not entry["image_id"].endswith(("broken.jpg", "empty.jpeg"))][:4]
    ids = [entry["image_id"] for entry in good]
    one = opener(tmp_path, threads=1)
    first, second = (one.batches([[a], [b]], [Seen()]) for a, b in (good[:2], good[2:]))
    next(first)
    taken: list = []
    other = threading.Thread(target=lambda: taken.extend(second), daemon=True)
    other.start()
    assert [seen.get(timeout=60) for _ in range(2)] == ids[:2]
    with pytest.raises(queue.Empty):  # a batch of its own block is ahead
        seen.get(timeout=0.1)
    next(first)
    assert seen.get(timeout=60) == ids[2]
    with pytest.raises(queue.Empty):
        seen.get(timeout=0.1)
    first.close()  # as where a run is to stop: whoever has the next block goes on
    other.join(60)
    assert [batch.rows["image_id"].to_pylist() for batch in taken] == [[one] for one in ids[2:]]


def test_the_orders_limit_is_that_of_an_image(tmp_path, encode):
    (tmp_path / "large.png").write_bytes(encode("PNG", (1100, 1000)))
    (table,) = DataLoader(str(tmp_path)).list_images()
    for limit, status in (1, "failed"), (2, "ok"):
        (batch,) = opener(tmp_path, max_megapixels=limit).batches([table.to_pylist()], [Size()])
        assert batch.rows["status"].to_pylist() == [status]


def test_photos_in_s3_are_read_while_others_are_decoded_and_no_more_than_memory_has_room_for(
    entries, tmp_path, monkeypatch, encode
):
    """One decoding thread, and 18 reads that end together: it would wait for ever if they were read one by one."""
    data, together, begun = encode(size=(60, 40)), threading.Barrier(18), itertools.count(1)
    decoded, in_hand = [], []

    def read(image_id: str, **_: object) -> ImageBytes:
        number = next(begun)
        if number <= 18:
            together.wait(60)
        in_hand.append(number - len(decoded))
        if image_id.endswith("/7.jpg"):
            raise ReadError("it is gone")
        return ImageBytes(data, "1")

    class Slow(Size):
        name = "slow"

        def preprocess(self, image):
            decoded.append(image)
            return super().preprocess(image)

    monkeypatch.setattr("pixelbrain.engine.work.opener.read_image", read)
    there = [{**entries[0], "image_id": f"s3://bucket/{number}.jpg"} for number in range(100)]
    (one, two) = opener(tmp_path, threads=1).batches([there[:50], there[50:]], [Slow()])
    assert max(in_hand) <= 18 + 2  # and the one that is being decoded, and the one that could not be
    assert [row["image_id"] for row in (*one.rows.to_pylist(), *two.rows.to_pylist())] == [
        entry["image_id"] for entry in there
    ]
    assert (len(one.good), len(two.good)) == (49, 50) and one.rows["error"][7].as_py() == "it is gone"

"""A DataLoader lists and decodes without Ray; what fails is said, and costs nobody else."""

from __future__ import annotations

import pytest

import pixelbrain as pb
from pixelbrain.errors import ConfigError, DecodeError, ImageTooLargeError


def test_batches_in_order_with_failures(photo_folder):
    batches = list(pb.DataLoader(str(photo_folder)).batches(3))
    assert [len(b.images) + len(b.failures) for b in batches] == [3, 3, 1]
    assert sum(len(b.images) for b in batches) == 5
    failures = {k.rsplit("/", 1)[1]: v for b in batches for k, v in b.failures.items()}
    assert set(failures) == {"broken.jpg", "empty.jpeg"}
    assert all(isinstance(e, DecodeError) for e in failures.values())


def test_limit(photo_folder):
    assert sum(len(t) for t in pb.DataLoader(str(photo_folder), limit=2).list_images()) == 2


def test_what_is_too_large_is_said_unless_more_is_asked_for(tmp_path, encode):
    (tmp_path / "large.png").write_bytes(encode("PNG", (1100, 1000)))
    (batch,) = pb.DataLoader(str(tmp_path), max_megapixels=1).batches()
    (error,) = batch.failures.values()
    assert isinstance(error, ImageTooLargeError) and not batch.images
    (batch,) = pb.DataLoader(str(tmp_path), max_megapixels=2).batches()
    assert len(batch.images) == 1


def test_hidden_photos_are_listed_if_that_is_asked_for(photo_folder):
    (photo_folder / "0.jpg").rename(photo_folder / ".0.jpg")
    for hidden, count in (False, 6), (True, 7):
        loader = pb.DataLoader(str(photo_folder), hidden=hidden)
        assert sum(map(len, loader.list_images())) == count
        assert loader.passed_over == {".txt": 1} | ({} if hidden else {"hidden file": 1})


def test_no_source():
    with pytest.raises(ConfigError, match="no source"):
        pb.DataLoader("")

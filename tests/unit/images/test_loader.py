"""A DataLoader lists and decodes without Ray; what fails is said, and costs nobody else."""

from __future__ import annotations

from pathlib import Path

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


def test_images_one_by_one_and_how_many(photo_folder, caplog):
    loader = pb.DataLoader(photo_folder)
    found = {image.image_id.rpartition("/")[2] for image in loader}
    assert len(found) == 5 and len(loader) == 7 and loader and "broken.jpg" not in found
    assert {one.rpartition("/")[2] for one in loader.failures} == {"broken.jpg", "empty.jpeg"}
    assert "broken.jpg: " in caplog.text
    assert [type(error) for error in loader.failures.values()] == [DecodeError] * 2 and len(loader.failures) == 2
    list(loader.clone(limit=1))
    assert len(loader.failures) == 2  # a clone has its own


def test_which_of_them_is_said_in_several_ways(photo_folder):
    def names(**how) -> list[str]:
        loader = pb.DataLoader(photo_folder, **how)
        return [Path(one).name for table in loader.list_images() for one in table["image_id"].to_pylist()]

    (photo_folder / "below").mkdir()
    (photo_folder / "below" / "zz.jpg").write_bytes((photo_folder / "broken.jpg").read_bytes())
    every = names()
    flat = sorted(file.name for file in photo_folder.iterdir() if file.suffix in (".jpg", ".jpeg"))
    assert len(every) == 8 and names(recursive=False) == flat and "zz.jpg" not in flat
    assert names(offset=2, limit=3) == every[2:5] and names(offset=100) == []
    assert names(filter=lambda row: row["size_bytes"] == 0 and row["path"].endswith("empty.jpeg")) == ["empty.jpeg"]
    assert (
        names(filter=lambda row: "broken" not in row["image_id"], limit=2, offset=1)
        == [one for one in every if one != "broken.jpg"][1:3]
    )
    loader = pb.DataLoader(photo_folder, recursive=False, offset=1)
    assert not loader.is_whole and loader.clone(offset=0).is_whole and loader.clone(offset=0).recursive is False
    assert not loader.open().covers((photo_folder / "below" / "zz.jpg").as_uri())  # it is not gone from there
    paths = [photo_folder / "empty.jpeg", str(photo_folder / "below")]
    assert len(pb.DataLoader(paths)) == 2 and len(pb.DataLoader(paths, recursive=False)) == 2


def test_bytes_as_they_are(photo_folder):
    loader = pb.DataLoader(photo_folder, decode=False)
    images = list(loader)
    assert len(images) == 7 and not loader.failures
    broken = next(image for image in images if image.image_id.endswith("broken.jpg"))
    assert broken.data == (photo_folder / "broken.jpg").read_bytes() and "data" not in repr(broken)
    assert [row["version"] for table in loader.list_images() for row in table.to_pylist()] == [
        i.version for i in images
    ]
    (batch,) = loader.batches(10)
    assert len(batch.images) == 7


@pytest.mark.parametrize("how", [{"limit": 0}, {"offset": -1}, {"offset": True}, {"filter": "n_faces > 0"}])
def test_what_cannot_be_is_said_when_it_is_made(photo_folder, how):
    with pytest.raises(ConfigError, match=f"{next(iter(how))} is "):
        pb.DataLoader(photo_folder, **how)

"""Tar files as the package `webdataset` reads them: the photos' own bytes, and what is known of them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import webdataset

from pixelbrain.errors import ConfigError, LandingError
from pixelbrain.landing.derived import IDENTITIES
from pixelbrain.landing.landing import Landing
from pixelbrain.report.exports.contents import image_numbers
from pixelbrain.report.exports.shards import shard_bytes, write_shards
from pixelbrain.sources.local import stat_version
from pixelbrain.storage.file_uri import uri_to_path
from pixelbrain.storage.local import LocalStorage
from tests.unit.report.landed_rows import Row, identity, image_row, labelled, with_faces


def row_of(image_id: str, **values: Any) -> Row:
    path = Path(uri_to_path(image_id))
    data = path.read_bytes()
    read = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data), "version": stat_version(path.stat())}
    return image_row(image_id, format="JPEG", **read | values)


@pytest.fixture
def landing(land, photo_file) -> Landing:
    """Five photos, of which the third failed."""
    ids = [photo_file(f"{number} 心.jpg", (80 + number, 60)) for number in range(5)]
    rows = [row_of(one, resnet=labelled("tabby", 0.93), facenet=with_faces(one, (1, 2, 3, 4.5))) for one in ids]
    rows[2] |= {"status": "failed", "error": "damaged", "resnet": None, "facenet": None}
    rows[1]["colour"] = {"red": float("nan"), "name": "x"}
    people = [identity(ids[0], 0, "ann")]
    return land(rows, people, modules=("resnet", "facenet", "colour"))


def samples(folder: Path) -> list[dict[str, Any]]:
    """What webdataset's own loader reads of the listed tar files."""
    found = json.loads((folder / "index.json").read_text())
    assert found["pixelbrain"]["complete"] and not found["earlier"]
    urls = [str(folder / one["url"]) for one in found["shardlist"]]
    assert {*urls} | {str(folder / "index.json")} == {str(one) for one in folder.iterdir()}
    return list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))


def keys(landing: Landing, *places: int) -> list[str]:
    return [f"{image_numbers(landing.index.image_id)[place]:016d}" for place in places]


def photo(landing: Landing, number: int) -> Path:
    return Path(uri_to_path(landing.index.image_id[number].as_py()))


def test_webdataset_reads_the_photos_as_they_are_and_what_is_known_of_them(landing: Landing, tmp_path: Path):
    told: list[tuple[int, int]] = []
    report = write_shards(landing, LocalStorage(tmp_path / "a/b"), progress=lambda *n: told.append(n))
    assert (report.photos, report.shards, report.failed, report.left_out) == (4, 1, 1, {})
    assert told[-1] == (5, 5)
    found = samples(tmp_path / "a/b")
    assert [one["__key__"] for one in found] == keys(landing, 0, 1, 3, 4)
    assert [one["jpg"] for one in found] == [photo(landing, n).read_bytes() for n in (0, 1, 3, 4)]
    said = [json.loads(one["json"]) for one in found]
    assert [one["path"] for one in said] == [str(photo(landing, n)) for n in (0, 1, 3, 4)]
    assert said[0]["label"] == "tabby" and said[0]["fields"]["resnet"]["label_score"] == 0.93
    (face,) = said[0]["faces"]
    assert (face["identity_id"], face["y2"], face["score"], face["distance"]) == ("ann", 4.5, 0.99, 0.1)
    assert "embedding" not in face and "embedding" not in said[0]["fields"]["resnet"]
    assert said[1]["fields"]["colour"] == {"red": None, "name": "x"} and said[0]["answers"] == {}
    decoded = next(
        iter(webdataset.WebDataset(str(tmp_path / "a/b/photos-000000.tar"), shardshuffle=False).decode("pil"))
    )
    assert decoded["jpg"].size == (80, 60) and decoded["json"]["id"] == int(found[0]["__key__"])


def test_a_size_makes_several_and_only_what_has_changed_is_written_again(landing: Landing, tmp_path: Path):
    folder = LocalStorage(tmp_path / "shards")
    assert write_shards(landing, folder, shard_size=1).shards == 4
    assert [one["__key__"] for one in samples(folder.local)] == keys(landing, 0, 1, 3, 4)
    before = folder.versions("")
    again = write_shards(landing, folder, shard_size=1)
    assert (again.kept, again.photos, again.shards) == (4, 4, 4)
    (folder.local / "photos-000001.tar").write_bytes(b"half")  # somebody's, or of a disk that lost power
    IDENTITIES.write(landing, IDENTITIES.read(landing).rows.slice(0, 0))
    assert write_shards(landing, folder, shard_size=1).kept == 2
    assert len(samples(folder.local)) == 4
    changed = {name for name, version in folder.versions("").items() if before[name] != version}
    assert changed == {"photos-000000.tar", "photos-000001.tar", "index.json"}
    assert write_shards(landing, folder, shard_size="1GB").shards == 1 and len(samples(folder.local)) == 4


def test_an_export_that_is_killed_goes_on_and_has_nothing_half_under_its_name(landing: Landing, tmp_path: Path):
    folder = LocalStorage(tmp_path / "shards")

    def stop(done: int, total: int) -> None:
        if done == 4:  # one failed, and so it is in the third tar file
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(landing, folder, shard_size=1, progress=stop)
    assert folder.names("") == ["index.json", "photos-000000.tar", "photos-000001.tar"]
    assert not json.loads(folder.read("index.json"))["pixelbrain"]["complete"]
    assert write_shards(landing, folder, shard_size=1).kept == 2
    assert len(samples(folder.local)) == 4


def test_a_photo_that_is_gone_or_another_is_left_out_and_tried_again(landing: Landing, tmp_path: Path):
    folder, (gone, other, touched) = tmp_path / "shards", (photo(landing, n) for n in (0, 1, 3))
    kept = gone.read_bytes(), other.read_bytes()
    gone.unlink()
    other.write_bytes(kept[1] + b"more")
    os.utime(touched, ns=(1, 1))  # a copy, or a checkout: the same bytes
    report = write_shards(landing, LocalStorage(folder))
    assert (report.photos, report.shards) == (2, 1)
    reasons = {Path(uri_to_path(one)).name: why for one, why in report.left_out.items()}
    assert [*reasons] == ["0 心.jpg", "1 心.jpg"]
    assert "FileNotFoundError" in reasons["0 心.jpg"] and "changed since it landed" in reasons["1 心.jpg"]
    assert [one["__key__"] for one in samples(folder)] == keys(landing, 3, 4)
    gone.write_bytes(kept[0])
    other.write_bytes(kept[1])
    assert write_shards(landing, LocalStorage(folder)).left_out == {} and len(samples(folder)) == 4
    for number in (0, 1, 3, 4):
        photo(landing, number).unlink()
    with pytest.raises(LandingError, match="none of the 4 photos could be read; the first: FileNotFoundError"):
        write_shards(landing, LocalStorage(tmp_path / "none"))


def test_photos_whose_bytes_have_no_hash_are_known_by_their_version(land, photo_file, tmp_path: Path):
    one = photo_file("a.jpg")
    landing = land([row_of(one, sha256=None)], modules=())
    assert write_shards(landing, LocalStorage(tmp_path / "shards")).photos == 1
    os.utime(uri_to_path(one), ns=(1, 1))
    with pytest.raises(LandingError, match="changed since it landed"):
        write_shards(landing, LocalStorage(tmp_path / "more"))


def test_what_cannot_be_is_refused_and_nothing_of_others_is_removed(landing: Landing, tmp_path: Path):
    assert [shard_bytes(one) for one in (5, "256MB", "1.5gb", "512 MiB", "2k")] == [
        5, 256_000_000, 1_500_000_000, 512 << 20, 2000
    ]  # fmt: skip
    for wrong in ("0", "", "many", "-1", "1TB", 0):
        with pytest.raises(ConfigError, match="write 256MB"):
            shard_bytes(wrong)
    with pytest.raises(ConfigError, match="is OUT itself"):
        write_shards(landing, landing.storage)
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "photos-000007.tar").write_text("mine")
    write_shards(landing, LocalStorage(folder))
    assert (folder / "photos-000007.tar").read_text() == "mine"
    for not_ours in ("{}", "[]", "no"):
        (folder / "index.json").write_text(not_ours)
        with pytest.raises(ConfigError, match="not an export's"):
            write_shards(landing, LocalStorage(folder))

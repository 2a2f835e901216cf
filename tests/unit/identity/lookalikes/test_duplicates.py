"""Which photos are duplicates, which of them is the best, and that nobody is told to drop the last one."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pixelbrain import schema
from pixelbrain.errors import ConfigError
from pixelbrain.identity.lookalikes.duplicates import find_duplicates
from pixelbrain.identity.lookalikes.hashes import MIRRORED
from pixelbrain.landing.duplicates.read import read_duplicates
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.parts import ModuleState
from pixelbrain.landing.remaining import prune
from pixelbrain.modules.exif import ExifModule
from pixelbrain.modules.quality import QualityModule
from pixelbrain.report.export import export

BASE, OTHER = 0x0F0F_1234_5678_9ABC, 0xF0F0_EDCB_A987_6543  # all bits differ
COLUMNS = {
    "exif": ExifModule().struct_type(), "quality": QualityModule().struct_type(),
    "facenet": schema.module_struct(schema.faces_fields(2)),
    "resnet": schema.module_struct(schema.classifier_fields(2)),
}  # fmt: skip
MODELS: dict[str, schema.ModelInfo] = {}
FIRST = datetime(2024, 5, 1, 12)


def photo(
    name: str, hashed: int = BASE, *, version: str = "1", sha256: str | None = None, size: tuple = (400, 300),
    size_bytes: int = 9000, contrast: float = 0.2, sharpness: float = 9.0, after_s: float | None = None,
    make: str | None = None, seen: int | None = None, vector: Any = None, image_format: str = "JPEG",
) -> dict:  # fmt: skip
    row = {
        "image_id": f"file:///{name}", "version": version, "status": "ok", "sha256": sha256 or name,
        "format": image_format, "width": size[0], "height": size[1], "size_bytes": size_bytes,
        "quality": {"phash": f"{hashed:016x}", "contrast": contrast, "sharpness": sharpness},
    }  # fmt: skip
    if make or after_s is not None:
        taken = None if after_s is None else FIRST + timedelta(seconds=after_s)
        row["exif"] = {"make": make or "Canon", "model": "X", "taken_at": taken}
    if seen is not None:
        row["facenet"] = {"n_faces": 5, "faces": [{"visible": 2.0 if n < seen else 0.5} for n in range(5)]}
    if vector is not None:
        row["resnet"] = {"label": "cat", "embedding": vector}
    return row


@pytest.fixture
def land(tmp_path):
    generations = itertools.count(1)

    def _land(*rows: dict) -> Landing:
        landing = Landing(tmp_path)
        columns = pa.schema([*schema.BASE_FIELDS, *(pa.field(name, kind) for name, kind in COLUMNS.items())])
        states = {name: ModuleState(settings={}, model=MODELS.get(name)) for name in COLUMNS}
        where = {"generation": next(generations), "block": 0, "piece": 0}
        landing.write_part(pa.Table.from_pylist(list(rows), columns), **where, modules=states)
        landing.refresh()
        return landing

    return _land


def found(landing: Landing, **options: Any) -> dict[str, tuple]:
    """Of each photo of which there is a better one, that one and the kind."""
    find_duplicates(landing, **options)
    rows = read_duplicates(landing).to_pylist()
    return {
        row["image_id"].removeprefix("file:///"): (row["copy_of"].removeprefix("file:///"), row["kind"])
        for row in rows
        if not row["keep"]
    }


def test_equal_bytes_need_no_hash(land):
    rows = [photo(name, sha256="same", contrast=0) for name in ("b (1).jpg", "a.jpg", "copy of b.jpg")]
    assert found(land(*rows, photo("other.jpg", contrast=0))) == {
        "b (1).jpg": ("a.jpg", "exact"), "copy of b.jpg": ("a.jpg", "exact")
    }  # fmt: skip


def test_a_hash_of_noise_says_nothing(land):
    assert found(land(photo("night.jpg", contrast=0.01), photo("wall.jpg", contrast=0.01))) == {}


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({"size": (800, 600)}, {"size_bytes": 99999}, "larger: 800 x 600 px, the next 400 x 300"),
        ({"make": "Canon"}, {"size_bytes": 99999}, "the original: it has its camera's data"),
        ({}, {"image_format": "PNG", "size_bytes": 99999}, "in a format of cameras: JPEG, the next PNG"),
        ({"size_bytes": 9001}, {"sharpness": 99.0}, "less compressed: 9,001 bytes, the next 9,000"),
        ({"sharpness": 10.0}, {}, "sharper: 10, the next 9"),
        ({}, {}, "as good as the others, with the shortest name"),
    ],
)
def test_the_best_copy_and_why(land, better, worse, why):
    landing = land(photo("worse.jpg", BASE ^ 3, **worse), photo("best.jpg", **better), photo("other.jpg", OTHER))
    assert found(landing) == {"worse.jpg": ("best.jpg", "near")}
    (kept, copy) = sorted(read_duplicates(landing).to_pylist(), key=lambda row: not row["keep"])
    assert kept["why"] == why and copy["bits"] == 2 and copy["duplicate_id"] == kept["duplicate_id"]


def test_no_chain_of_small_changes_ends_at_another_picture(land):
    far = [BASE ^ ((1 << bits) - 1) for bits in (0, 8, 16, 24)]
    rows = [photo(f"{n}.jpg", one, size=(400 - 60 * n, 300 - 45 * n)) for n, one in enumerate(far)]
    assert found(land(*rows)) == {"1.jpg": ("0.jpg", "near"), "2.jpg": ("1.jpg", "near")}


def test_mirrored_and_of_another_shape(land):
    turned = photo("mirror.jpg", BASE ^ int(MIRRORED) ^ 1)
    assert found(land(photo("a.jpg"), turned, photo("wide.jpg", size=(600, 300)))) == {"mirror.jpg": ("a.jpg", "near")}


def test_two_shots_are_no_copies_and_a_burst_if_seconds_lie_between(land):
    rows = [
        photo("1.jpg", after_s=0, seen=1, sharpness=50), photo("2.jpg", after_s=2, seen=3, sharpness=10),
        photo("3.jpg", after_s=4, seen=3, sharpness=20), photo("later.jpg", after_s=60),
        photo("theirs.jpg", after_s=1, make="Nikon"), photo("away.jpg", OTHER, after_s=5),
    ]  # fmt: skip
    landing = land(*rows)
    assert found(landing) == {"1.jpg": ("3.jpg", "burst"), "2.jpg": ("3.jpg", "burst")}
    assert found(landing, burst_s=0) == {}


def test_copies_of_the_shots_of_a_burst(land):
    rows = [photo("1.jpg", after_s=0, seen=1), photo("2.jpg", after_s=1, seen=2), photo("1 small.jpg", size=(200, 150))]
    assert found(land(*rows)) == {"1 small.jpg": ("1.jpg", "near"), "1.jpg": ("2.jpg", "burst")}


def test_what_vectors_say_is_cut(land):
    rows = [
        photo("a.jpg", vector=[1, 0]), photo("cut.jpg", BASE ^ 0xFFFF, size=(360, 240), vector=[3, 0.1]),
        photo("else.jpg", OTHER, vector=[1, 0]), photo("b.jpg", OTHER ^ 0xFFFF_FFFF, vector=[0, 1]),
    ]  # fmt: skip
    assert found(land(*rows)) == {"cut.jpg": ("a.jpg", "near")}
    assert found(land(*rows), vectors=False) == {}


def test_how_alike_vectors_have_to_be_is_their_models_own(land, monkeypatch):
    """A cosine of .9: too little of a model that nobody measured; and two shots of one scene differ in more bits."""
    cut, scene = BASE ^ 0xFFFFF, OTHER ^ 0x3FFFFF  # 20 bits, and 22
    rows = [
        photo("a.jpg", vector=[1, 0]), photo("cut.jpg", cut, size=(360, 240), vector=[0.9, 0.43]),
        photo("mirrored.jpg", cut ^ int(MIRRORED), size=(300, 240), vector=[0.9, -0.43]),
        photo("b.jpg", OTHER, vector=[-1, 0]), photo("c.jpg", scene, size=(360, 240), vector=[-0.9, 0.43]),
    ]  # fmt: skip
    assert found(land(*rows)) == {}
    assert found(land(*rows), similarity=0.85) == dict.fromkeys(["cut.jpg", "mirrored.jpg"], ("a.jpg", "near")) | {
        "c.jpg": ("b.jpg", "near")
    }
    monkeypatch.setitem(MODELS, "resnet", schema.ModelInfo(model="efficientnet-lite0", weights_sha256="0" * 64, dim=2))
    assert found(land(*rows)) == dict.fromkeys(["cut.jpg", "mirrored.jpg"], ("a.jpg", "near"))


def test_nobody_drops_the_last_one(land):
    """Where the best one changed or went away since, what was like it has no better one."""
    landing = land(photo("a.jpg", size=(800, 600)), photo("b.jpg"), photo("c.jpg", sha256="b.jpg"))
    assert found(landing) == {"b.jpg": ("a.jpg", "near"), "c.jpg": ("b.jpg", "exact")}
    landing = land(photo("a.jpg", OTHER, version="2"))
    assert read_duplicates(landing).to_pylist() == []
    found(landing)
    prune(landing, pa.table({"image_id": ["file:///b.jpg"], "version": ["1"]}))
    assert read_duplicates(landing).to_pylist() == []


def test_export(land, tmp_path):
    landing = land(photo("b.jpg"), photo("a.jpg", size=(800, 600)), photo("other.jpg", OTHER))
    file = tmp_path / "duplicates.jsonl"
    assert export(landing, file, "duplicates") == 0  # nobody looked
    find_duplicates(landing)
    assert export(landing, file, "duplicates") == 2
    rows = [line.split('"propose": "')[1][:4] for line in file.read_text().splitlines()]
    assert rows == ["keep", "drop"]


@pytest.mark.parametrize("wrong", [{"bits": 25}, {"bits": 1.5}, {"similarity": 0}, {"burst_s": -1}])
def test_values_that_cannot_work(land, wrong):
    with pytest.raises(ConfigError, match=r"(bits|similarity|burst) is "):
        find_duplicates(land(photo("a.jpg")), **wrong)


def test_progress_is_told(land):
    told: list[tuple[int, int]] = []
    find_duplicates(land(photo("a.jpg"), photo("b.jpg")), progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 2)]


def test_nothing_is_no_error(land):
    assert find_duplicates(land(photo("a.jpg") | {"quality": None, "status": "failed"})).groups == 0


def test_many_of_one_kind_take_no_pairs(land):
    """Screenshots of one hash: a star, and not millions of pairs."""
    rows = [photo(f"{n:05}.jpg", size=(400, 300)) for n in range(3000)]
    report = find_duplicates(land(*rows))
    assert (report.groups, report.drop, report.kinds) == (1, 2999, {"near": 2999})

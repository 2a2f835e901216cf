"""The sample photos that come along are what the demo and SAMPLES.md say."""

from __future__ import annotations

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.images.decode import decode_image


def test_three_people_four_times_and_four_things():
    photos = sorted(SAMPLES.glob("*/*.jpg"))
    folders = {p.parent.name: [q for q in photos if q.parent == p.parent] for p in photos}
    assert {name: len(found) for name, found in folders.items()} == {
        "barack-obama": 4, "eileen-collins": 4, "joe-biden": 4, "things": 4,
    }  # fmt: skip
    assert sum(photo.stat().st_size for photo in photos) < 3_000_000
    sources = (SAMPLES.parent / "apps" / "SAMPLES.md").read_text(encoding="utf-8")
    for photo in photos:
        assert f"`{photo.parent.name}/{photo.name}`" in sources
        assert decode_image(photo.read_bytes()).pixels.shape[2] == 3

"""Near hashes are those that comparing all pairs finds, and a mirrored photo's hash is another's turned."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageOps

from pixelbrain.apps.demo import SAMPLES
from pixelbrain.identity.lookalikes.hashes import MIRRORED, count_bits, count_bits_by_adding, near_hashes
from pixelbrain.images.decode import decode_image
from pixelbrain.modules.quality import perceptual_hash


@pytest.mark.parametrize("bits", [0, 1, 8, 20])
@pytest.mark.parametrize("turned", [0, MIRRORED])
def test_as_comparing_all(bits, turned):
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 300, np.uint64)
    flips = (np.uint64(1) << rng.integers(0, 64, (300, 12), np.uint64)).astype(np.uint64)
    near = np.bitwise_xor.reduce(np.where(rng.random((300, 12)) < rng.random((300, 1)), flips, 0).astype(np.uint64), 1)
    hashes = np.unique(np.concatenate([hashes, hashes ^ near, hashes[:99] ^ MIRRORED ^ near[:99]]))
    all_pairs = count_bits(hashes[:, None] ^ hashes[None, :] ^ np.uint64(turned))
    a, b = np.nonzero(np.triu(all_pairs <= bits, 1))
    found = near_hashes(hashes, bits, turned=turned)
    assert (bits == 0 and not turned) or len(a) >= 10
    assert found[0].tolist() == a.tolist() and found[1].tolist() == b.tolist()
    assert found[2].tolist() == all_pairs[a, b].tolist()
    assert [len(one) for one in near_hashes(hashes[:0], bits, turned=turned)] == [0, 0, 0]


def test_bits_are_counted_alike_by_any_numpy():
    values = np.random.default_rng(0).integers(0, 2**64, 500, np.uint64)
    values[:2] = 0, 2**64 - 1
    expected = [bin(value).count("1") for value in values.tolist()]
    assert count_bits(values).tolist() == count_bits_by_adding(values).tolist() == expected


def test_a_mirrored_photo():
    for path in [one for one in sorted(SAMPLES.rglob("*.*")) if one.suffix in (".jpg", ".png")][::5]:
        grey = decode_image(path.read_bytes()).pil().convert("L")
        one, other = (np.uint64(int(perceptual_hash(picture), 16)) for picture in (grey, ImageOps.mirror(grey)))
        assert count_bits(np.array([one ^ other ^ MIRRORED]))[0] <= 8 < count_bits(np.array([one ^ other]))[0]

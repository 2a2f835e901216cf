"""Photos from installed packages, and seeded weights of the real architectures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pixelbrain.images.decode import DecodedImage, decode_image
from pixelbrain.images.torchvision import import_torchvision

import_torchvision()  # before the tests here import it with torch's compiler: 10 s where all is compiled

PhotoReader = Callable[..., DecodedImage]


@pytest.fixture(scope="session")
def photo() -> PhotoReader:
    """Reads one of scikit-image's sample photos, at its full size."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"

    def read(name: str) -> DecodedImage:
        return decode_image((folder / name).read_bytes(), image_id=f"file:///photos/{name}")

    return read


@pytest.fixture(scope="session")
def seed_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[nn.Module, str], Path]:
    """Gives a model seeded weights and lively batch norm statistics, and saves them."""

    def seed(model: nn.Module, name: str) -> Path:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                    module.running_mean.normal_(0, 0.1, generator=generator)
                    module.running_var.uniform_(0.8, 1.2, generator=generator)
                    module.weight.uniform_(0.4, 0.6, generator=generator)
                elif isinstance(module, nn.Conv2d | nn.Linear):
                    fan_in = module.weight[0].numel()
                    module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        path = tmp_path_factory.mktemp("weights") / name
        torch.save(model.state_dict(), path)
        return path

    return seed

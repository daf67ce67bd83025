"""The feature network that measures Fashion-MNIST generators: small, shipped, offline.

It is a plain convolutional classifier trained by `ganforge_fashion_mnist.train_extractor` on
9,000 of the 10,000 images that ship with this plugin; its accuracy on the other 1,000 is
91.6 %. Its numbers rank generators of Fashion-MNIST and nothing else: they are not comparable
with Inception's, and the usual reference images are mostly those that it was trained on.
"""

import functools
import hashlib
from importlib.resources import files
from typing import ClassVar

import torch
from safetensors.torch import load
from torch import Tensor, nn

from ganforge.api import ComponentOptions, ConfigError, FeatureExtractor, MetricError

WEIGHTS = "extractor.safetensors"
FEATURES = 128
CLASSES = 10
_SIDES = (28, 32)
_MAP_CHANNELS = (32, 64, 128, 128)


def _convolution(cin: int, cout: int) -> list[nn.Module]:
    return [nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU()]


class Classifier(nn.Module):
    """Five 3x3 convolutions, three halvings, one hidden layer: about 270,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(1, 32),
            nn.AvgPool2d(2),
            *_convolution(32, 64),
            *_convolution(64, 64),
            nn.AvgPool2d(2),
            *_convolution(64, 128),
            nn.AvgPool2d(2),
            *_convolution(128, 128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, img: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, 128] and logits [N, 10] of gray images [N, 1, 32, 32] in [-1, 1]."""
        features = self.body(img)
        return features, self.head(features)

    def maps(self, img: Tensor) -> list[Tensor]:
        """The last map of each size: [N, 32, 32, 32], [N, 64, 16, 16], [N, 128, 8, 8], ..."""
        found, x = [], img
        for layer in self.body:
            if isinstance(layer, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
                found.append(x)
            x = layer(x)
        return found


def as_input(img: Tensor) -> Tensor:
    """Gray float [N, 1, 32, 32] in [-1, 1]; 28x28 gets a black border, RGB is averaged.

    Args:
        img: [N, 1 or 3, H, W] uint8, H and W both 28 or both 32.

    Raises:
        MetricError: the images are of another type or size.
    """
    height, width = img.shape[-2:]
    fits = img.ndim == 4 and img.shape[1] in (1, 3) and height == width and height in _SIDES
    if img.dtype != torch.uint8 or not fits:
        raise MetricError(
            f"The feature extractor 'fashion_mnist' got {img.dtype} images {list(img.shape)}; it "
            f"measures uint8 [N, 1 or 3, 28, 28] or [N, 1 or 3, 32, 32]. Set data.resolution to "
            f"28 or 32, or choose another evaluate.extractor."
        )
    # Averaged as integers, so that gray stored as RGB gives exactly the gray.
    return _gray_32(img.float().mean(1, keepdim=True) / 127.5 - 1)


def _gray_32(img: Tensor) -> Tensor:
    """Mean of the channels [N, 1, 32, 32] of images in [-1, 1]; 28x28 gets a black border."""
    gray = img.mean(1, keepdim=True)
    border = (32 - gray.shape[-1]) // 2
    return nn.functional.pad(gray, (border, border, border, border), value=-1.0)


@functools.cache
def _shipped_weights() -> bytes:
    return (files(__package__) / "data" / WEIGHTS).read_bytes()


class FashionMnistFeatures(FeatureExtractor[ComponentOptions]):
    """128 features and 10 logits of a small Fashion-MNIST classifier."""

    name = "fashion_mnist"
    outputs: ClassVar[tuple[str, ...]] = ("pooled", "logits")
    resize = "28x28 padded to 32x32"

    def __init__(self, config: ComponentOptions) -> None:
        super().__init__(config)
        self.classifier = Classifier()
        # Stored in half precision; load_state_dict widens to float32 as it copies.
        self.classifier.load_state_dict(load(_shipped_weights()))
        self.eval().requires_grad_(False)

    @property
    def sha256(self) -> str:
        """Hash of the shipped weights file."""
        return hashlib.sha256(_shipped_weights()).hexdigest()

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """`pooled` [N, 128] and `logits` [N, 10] of uint8 images.

        Args:
            img: [N, 1 or 3, H, W] uint8, H and W both 28 or both 32.

        Raises:
            MetricError: the images are of another type or size.
        """
        pooled, logits = self.classifier(as_input(img))
        return {"pooled": pooled, "logits": logits}

    @classmethod
    def map_shapes(
        cls, config: ComponentOptions, height: int, width: int
    ) -> list[tuple[int, int, int]]:
        """Four maps, from 32x32 to 4x4.

        Raises:
            ConfigError: the images are neither 28x28 nor 32x32.
        """
        if height != width or height not in _SIDES:
            raise ConfigError(
                f"The feature extractor 'fashion_mnist' takes 28x28 and 32x32 images, not "
                f"{height}x{width}. Set data.resolution to 28 or 32, or choose another extractor."
            )
        return [(channels, 32 >> n, 32 >> n) for n, channels in enumerate(_MAP_CHANNELS)]

    def maps(self, img: Tensor) -> list[Tensor]:
        """Maps of float images [N, 1 or 3, H, W] in [-1, 1]; RGB is averaged."""
        return self.classifier.maps(_gray_32(img))

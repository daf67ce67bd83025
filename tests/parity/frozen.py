"""A small frozen feature network for the projected GAN, and map shapes of EfficientNet-Lite0."""

import contextlib
import types
from collections.abc import Iterator

from parity import formula
from torch import nn

from ganforge.api import ComponentOptions, FeatureExtractor, hookimpl
from ganforge.registry.plugins import Plugin, get_registry

CHANNELS = (24, 40, 112, 320)
"""Of EfficientNet-Lite0's last four maps."""
SMALL_CHANNELS = (4, 6, 8, 10)


def small_layers():
    """Four modules in a row, each of whose outputs is a map; the first shrinks by 4."""
    layers, before = [], 3
    for level, after in enumerate(SMALL_CHANNELS):
        stride = 2 if level else 4
        conv = nn.Conv2d(before, after, stride, stride)
        for name, parameter in conv.named_parameters():
            full = f"features.{level}.{name}"
            parameter.data.copy_(formula.parameter(full, parameter.shape, equalized=False))
        layers.append(nn.Sequential(conv, nn.LeakyReLU(0.2)))
        before = after
    return layers


class SmallFeatures(FeatureExtractor[ComponentOptions]):
    """Four maps of a fourth to a 32nd of the image's size."""

    name, Config = "small_features", ComponentOptions
    sha256 = "0" * 64
    channels = SMALL_CHANNELS

    def __init__(self, config):
        super().__init__(config)
        self.layers = nn.ModuleList(small_layers())

    @classmethod
    def map_shapes(cls, config, height, width):
        """Their shapes."""
        return [(c, height >> n, width >> n) for n, c in enumerate(cls.channels, start=2)]

    def maps(self, img):
        """The maps, from the finest."""
        found = []
        for layer in self.layers:
            img = layer(img)
            found.append(img)
        return found

    def forward(self, img):
        """Not used."""
        return {"pooled": self.maps(img.float())[-1].mean((2, 3))}


class Lite0Shapes(SmallFeatures):
    """The shapes of EfficientNet-Lite0's maps, to count parameters."""

    name = "lite0_shapes"
    channels = CHANNELS


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """Within it, `features: small_features` and `lite0_shapes` can be chosen."""
    registry, module = get_registry(), types.ModuleType("parity_features")
    module.ganforge_feature_extractors = hookimpl(lambda: [SmallFeatures, Lite0Shapes])
    registry.register(module, Plugin("parity-features", "parity_features", "parity-features", "1"))
    try:
        yield
    finally:
        registry.unregister("parity-features")

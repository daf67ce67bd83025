"""EfficientNet-Lite0, as an inference network.

Sources: Tan and Le 2019, arXiv:1905.11946; the Lite variant, which has ReLU6 in place of swish and
no squeeze-and-excitation, is described at
https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURES = 1280
CLASSES = 1000
_STEM_CHANNELS = 32
_EPS = 1e-3
# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_MAP_STAGES = (1, 2, 4, 6)
"""Stages before the next halving, and the last: maps of 1/4, 1/8, 1/16 and 1/32 of the image."""


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding: an odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, D, ceil(H / stride), ceil(W / stride)]."""
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            missing = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(x, pads) if any(pads) else x)


def _layer(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = SamePadConv2d(cin, cout, kernel, stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(cout, eps=_EPS)]


class InvertedResidual(nn.Module):
    """Widen by a 1x1, filter each channel, narrow by a 1x1; a skip where the shape stays."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        widen = [*_layer(cin, wide, 1), nn.ReLU6()] if expansion > 1 else []
        filter_each = [*_layer(wide, wide, kernel, stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*widen, *filter_each, *_layer(wide, cout, 1))
        self.has_skip = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """[N, cin, H, W] -> [N, cout, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.has_skip else y


class Lite0(nn.Module):
    """img [N, 3, H, W], about -1 to 1 -> features [N, 1280] and logits [N, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        layers = [*_layer(3, _STEM_CHANNELS, 3, 2), nn.ReLU6()]
        width = _STEM_CHANNELS
        ends: list[int] = []
        for blocks, kernel, stride, expansion, channels in _STAGES:
            for number in range(blocks):
                first = stride if number == 0 else 1
                layers.append(InvertedResidual(width, channels, kernel, first, expansion))
                width = channels
            ends.append(len(layers) - 1)
        self._map_layers = frozenset(ends[stage] for stage in _MAP_STAGES)
        self.body = nn.Sequential(*layers, *_layer(width, FEATURES, 1), nn.ReLU6())
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, img: Tensor) -> tuple[Tensor, Tensor]:
        """Features, pooled over the last grid, and logits."""
        features = self.body(img).mean((2, 3))
        return features, self.head(features)

    def maps(self, img: Tensor) -> list[Tensor]:
        """The last maps of 1/4, 1/8, 1/16 and 1/32 of the image, of 24, 40, 112, 320 channels."""
        found: list[Tensor] = []
        x = img
        for number, layer in enumerate(self.body):
            x = layer(x)
            if number in self._map_layers:
                found.append(x)
            if len(found) == len(self._map_layers):
                break
        return found

    def load_in_order(self, weights: Mapping[str, Tensor]) -> None:
        """Take tensors by their order, which is that of the layers; names of the file differ.

        Raises:
            ValueError: their number or a shape differs.
        """
        own = self.state_dict()
        if [tuple(t.shape) for t in own.values()] != [tuple(t.shape) for t in weights.values()]:
            raise ValueError(f"{len(weights)} tensors that are not those of EfficientNet-Lite0")
        self.load_state_dict(dict(zip(own, weights.values(), strict=True)))

    def fold_norms(self) -> None:
        """Fold each batch norm into its convolution: the same values to rounding, twice as fast."""
        self.eval()
        inner = (block.layers for block in self.body if isinstance(block, InvertedResidual))
        for layers in (self.body, *inner):
            for number in range(1, len(layers)):
                conv, norm = layers[number - 1], layers[number]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    layers[number - 1] = fuse_conv_bn_eval(conv, norm)
                    layers[number] = nn.Identity()

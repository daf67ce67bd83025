"""Encoder and decoder of UNIT: images of one domain to maps at a quarter of their size, and back.

Source: Liu et al. 2017, arXiv:1703.00848, section 3; sizes of the authors' second version.
"""

import torch
from torch import Tensor, nn

from ganforge.layers import InstanceNorm, ReflectionPad, ReLU, ResizeConv
from ganforge_translation.networks import ResidualBlock


class ImageNorm(nn.Module):
    """Normalize each image over all channels and pixels; learn a scale and a bias per channel.

    Unlike instance norm it keeps how strong the channels are relative to each other.
    Source: Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] of any float type; the statistics are float32."""
        scale, bias = self.scale.flatten(), self.bias.flatten()
        return nn.functional.group_norm(x.float(), 1, scale, bias, self.eps).to(x.dtype)


class ResidualBlocks(nn.Module):
    """Residual blocks in a row: the layers that both domains share."""

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(ResidualBlock(channels) for _ in range(num_blocks)))
        self.apply(init_kaiming)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        out: Tensor = self.layers(x)
        return out


class Encoder(nn.Module):
    """A 7x7 convolution, two of stride 2, and residual blocks."""

    def __init__(self, in_channels: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(in_channels, width, 7),
            InstanceNorm(),
            ReLU(),
            *_down(width, 2 * width),
            *_down(2 * width, 4 * width),
            *(ResidualBlock(4 * width) for _ in range(num_blocks)),
        )
        self.apply(init_kaiming)

    def forward(self, img: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, 4 * width, H / 4, W / 4]."""
        maps: Tensor = self.layers(img)
        return maps


class Decoder(nn.Module):
    """Residual blocks, two 5x5 resize-convolutions, and a 7x7 convolution."""

    def __init__(self, out_channels: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(ResidualBlock(4 * width) for _ in range(num_blocks)),
            *_up(4 * width, 2 * width),
            *_up(2 * width, width),
            ReflectionPad(3),
            nn.Conv2d(width, out_channels, 7),
        )
        self.apply(init_kaiming)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, 4 * width, H, W] -> float32 [N, out_channels, 4 H, 4 W] in [-1, 1]."""
        return torch.tanh(self.layers(maps).float())


def init_kaiming(module: nn.Module) -> None:
    """He et al. 2015, arXiv:1502.01852: N(0, 2 / inputs) for the weights, zero for the biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _down(in_channels: int, out_channels: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 4, stride=2)
    return [ReflectionPad(1), conv, InstanceNorm(), ReLU()]


def _up(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [ResizeConv(in_channels, out_channels, 5), ImageNorm(out_channels), ReLU()]

"""The residual translator of CycleGAN. The layer names c7s1-64, d128, R256, u128 are the paper's.

Source: Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.2.
"""

import torch
from torch import Tensor, nn

from ganforge.layers import (
    InstanceNorm,
    ReflectionPad,
    ReLU,
    ResizeConv,
    Upsampling,
    init_translation,
)


def down(in_channels: int, out_channels: int) -> list[nn.Module]:
    """d128: a 3x3 convolution of stride 2."""
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
    return [conv, InstanceNorm(), ReLU()]


def up(in_channels: int, out_channels: int, upsampling: Upsampling) -> list[nn.Module]:
    """u128: a convolution that doubles the size."""
    conv: nn.Module
    if upsampling == "resize":
        conv = ResizeConv(in_channels, out_channels)
    else:
        conv = nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1)
    return [conv, InstanceNorm(), ReLU()]


class ResidualBlock(nn.Module):
    """R256: two reflection-padded 3x3 convolutions with a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
            ReLU(),
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        change: Tensor = self.layers(x)
        return x + change


class Translator(nn.Module):
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, with 64 as `width`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        num_blocks: int,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(in_channels, width, 7),
            InstanceNorm(),
            ReLU(),
            *down(width, 2 * width),
            *down(2 * width, 4 * width),
            *(ResidualBlock(4 * width) for _ in range(num_blocks)),
            *up(4 * width, 2 * width, upsampling),
            *up(2 * width, width, upsampling),
            ReflectionPad(3),
            nn.Conv2d(width, out_channels, 7),
        )
        self.apply(init_translation)

    def forward(self, img: Tensor) -> Tensor:
        """[N, in_channels, H, W] in [-1, 1] -> float32 [N, out_channels, H, W] in [-1, 1]."""
        return torch.tanh(self.layers(img).float())

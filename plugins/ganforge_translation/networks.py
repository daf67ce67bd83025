"""The residual translator of CycleGAN and CUT. The names c7s1-64, d128, R256, u128 are CycleGAN's.

Source: Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.2.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ganforge.layers import (
    InstanceNorm,
    LowPassDown,
    LowPassUp,
    ReflectionPad,
    ReLU,
    ResizeConv,
    Upsampling,
    init_translation,
)


def down(in_channels: int, out_channels: int, antialias: bool = False) -> list[nn.Module]:
    """d128: a 3x3 convolution of stride 2, or one followed by a low-pass filter."""
    if antialias:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        return [conv, InstanceNorm(), ReLU(), LowPassDown()]
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
    return [conv, InstanceNorm(), ReLU()]


def up(
    in_channels: int, out_channels: int, upsampling: Upsampling, antialias: bool = False
) -> list[nn.Module]:
    """u128: a convolution that doubles the size."""
    conv: nn.Module
    if antialias:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        return [LowPassUp(), conv, InstanceNorm(), ReLU()]
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
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, with 64 as `width`.

    Attributes:
        taps: the layers whose outputs CUT compares: the padded pixels, the two downsampling
            convolutions, the first block and the middle one.
        tap_channels: channels of these outputs.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        num_blocks: int,
        upsampling: Upsampling = "transposed",
        antialias: bool = False,
    ) -> None:
        """Build it.

        Args:
            in_channels: of the image.
            out_channels: of the result.
            width: channels at full resolution.
            num_blocks: residual blocks.
            upsampling: how the last layers double the size, without `antialias`.
            antialias: change the size by low-pass filters beside the convolutions, in both
                directions, as in CUT.
        """
        super().__init__()
        self.in_channels = in_channels
        first, second = down(width, 2 * width, antialias), down(2 * width, 4 * width, antialias)
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(in_channels, width, 7),
            InstanceNorm(),
            ReLU(),
            *first,
            *second,
            *(ResidualBlock(4 * width) for _ in range(num_blocks)),
            *up(4 * width, 2 * width, upsampling, antialias),
            *up(2 * width, width, upsampling, antialias),
            ReflectionPad(3),
            nn.Conv2d(width, out_channels, 7),
        )
        block = 4 + len(first) + len(second)
        blocks = dict.fromkeys((block, block + num_blocks // 2))  # a single one counts once
        self.taps = (0, 4, 4 + len(first), *blocks)
        self.tap_channels = (in_channels, 2 * width, 4 * width, *(4 * width for _ in blocks))
        self.apply(init_translation)

    def forward(self, img: Tensor, taps: Sequence[int] = ()) -> Tensor | list[Tensor]:
        """[N, in_channels, H, W] in [-1, 1] -> float32 [N, out_channels, H, W] in [-1, 1].

        With `taps`, in rising order: the outputs of these layers instead, and nothing is computed
        after the last of them.
        """
        if not taps:
            return torch.tanh(self.layers(img).float())
        x, found = img, []
        for number, layer in enumerate(self.layers[: taps[-1] + 1]):
            x = layer(x)
            if number in taps:
                found.append(x)
        return found


UP_KERNELS: Mapping[Upsampling, int] = {"transposed": 2, "resize": 3}
"""`up_kernel` of `receptive_field` for 3x3 convolutions."""


def receptive_field(
    num_downs: int, num_blocks: int, *, ends: int = 7, down_kernel: int = 3, up_kernel: int = 2
) -> int:
    """Side of the square that the layers of a translator see around a pixel, at most.

    Args:
        num_downs: how often it halves the size, and doubles it again.
        num_blocks: residual blocks at the smallest size.
        ends: side of the first and the last kernel.
        down_kernel: side of the kernels, filters included, that halve the size.
        up_kernel: pixels, at double the size, of which one doubled pixel is a mixture.
    """
    side = ends
    for _ in range(num_downs):
        side = (side + up_kernel - 1) // 2 + 1
    side += 4 * num_blocks
    for _ in range(num_downs):
        side = 2 * side - 2 + down_kernel
    return side + ends - 1

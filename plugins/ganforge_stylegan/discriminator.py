"""The StyleGAN discriminators. Source: Karras et al. 2020, arXiv:1912.04958, appendix B.

Without skips it is that of Karras et al. 2018, arXiv:1710.10196, and 2019, arXiv:1812.04948.

Labels enter by projection through a mapping network, as in Karras et al. 2020,
arXiv:2006.06676, after Miyato and Koyama 2018, arXiv:1802.05637.
"""

import math
from typing import Any

from torch import Tensor, nn

from ganforge.api import ConfigError, ImageSpec, full_precision
from ganforge.layers import (
    EqualizedConv2d,
    EqualizedLinear,
    MinibatchStdDev,
    run_layer,
    scaled_leaky_relu,
)
from ganforge_stylegan.config import StyleConfig
from ganforge_stylegan.generator import Mapping


class ConvLayer(nn.Module):
    """Equalized convolution, bias, leaky ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd side of the kernel.
        clamp: limit of the activations, or None.
        options: for `EqualizedConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        clamp: float | None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(in_channels, out_channels, kernel_size, **options)
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        y = scaled_leaky_relu(self.conv(x))
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class DiscriminatorBlock(nn.Module):
    """Two 3x3 layers, the second with stride 2; with a filtered 1x1 skip if residual."""

    def __init__(self, in_channels: int, out_channels: int, config: StyleConfig) -> None:
        super().__init__()
        clamp = config.conv_clamp
        self.conv0 = ConvLayer(in_channels, in_channels, 3, clamp)
        self.conv1 = ConvLayer(in_channels, out_channels, 3, clamp, resample="down")
        self.skip: EqualizedConv2d | None = None
        if config.discriminator == "residual":
            self.skip = EqualizedConv2d(in_channels, out_channels, 1, bias=False, resample="down")

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H / 2, W / 2]."""
        y: Tensor = self.conv1(self.conv0(x))
        if self.skip is None:
            return y
        # Bring the variance of the sum back to one.
        total: Tensor = (y + self.skip(x)) * math.sqrt(0.5)
        return total


class StyleDiscriminator(nn.Module):
    """img [N, C, H, W], c [N, c_dim] -> logits [N] float32.

    Args:
        config: options.
        spec: format of the images.
        grid: base height, base width and the doublings from there to the image.
    """

    def __init__(self, config: StyleConfig, spec: ImageSpec, grid: tuple[int, int, int]) -> None:
        super().__init__()
        height, width, doublings = grid
        widths = [config.channels(level) for level in reversed(range(doublings + 1))]
        last = widths[-1]
        sides = [(height << level, width << level) for level in reversed(range(doublings + 1))]
        self.in_float32 = [config.in_float32(side) for side in sides]
        self.from_image = ConvLayer(spec.channels, widths[0], 1, config.conv_clamp)
        self.blocks = nn.Sequential(
            *(DiscriminatorBlock(widths[i], widths[i + 1], config) for i in range(doublings))
        )
        self.deviation: MinibatchStdDev | None = None
        if config.mbstd_channels and last % config.mbstd_channels:
            raise ConfigError(
                f"model.mbstd_channels={config.mbstd_channels}: the discriminator's last {last} "
                f"features are split into as many parts. Use a divisor of {last}, such as 1."
            )
        if config.mbstd_channels:
            self.deviation = MinibatchStdDev(config.mbstd_group, config.mbstd_channels)
        self.conv = ConvLayer(last + config.mbstd_channels, last, 3, config.conv_clamp)
        self.hidden = EqualizedLinear(last * height * width, last)
        self.out = EqualizedLinear(last, last if spec.num_classes else 1)
        self.mapping: Mapping | None = None
        if spec.num_classes:
            self.mapping = Mapping(
                0,
                spec.num_classes,
                last,
                config.discriminator_mapping_layers,
                config.mapping_lr_mult,
            )

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        x = run_layer(self.from_image, img, in_float32=self.in_float32[0])
        for block, full in zip(self.blocks, self.in_float32[:-1], strict=True):
            x = run_layer(block, x, in_float32=full)
        if self.deviation is not None:
            x = self.deviation(x)
        x = run_layer(self.conv, x, in_float32=self.in_float32[-1])
        with full_precision(x):
            logits: Tensor = self.out(scaled_leaky_relu(self.hidden(x.float().flatten(1))))
            if self.mapping is None:
                return logits.flatten()
            match = self.mapping(c.new_zeros(c.shape[0], 0), c)
            projected: Tensor = (logits * match).sum(dim=1) / math.sqrt(match.shape[1])
            return projected

"""BigGAN-deep. Source: Brock et al. 2019, arXiv:1809.11096, appendix B (figure 16, tables 7 to 9).

All of z goes to every block; blocks are bottlenecks, two at each grid; skips have no weights in the
generator, where channels are dropped, and few in the discriminator, where channels are appended.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import Field, ImageSpec
from ganforge.layers import ConditionalBatchNorm2d, relu, spectral_norm, upsample_nearest
from ganforge_biggan.family import (
    BigganFamily,
    BigganFamilyConfig,
    Layout,
    attention_or_none,
    initialize,
    scaled,
)

_BOTTLENECK = 4


class BigganDeepConfig(BigganFamilyConfig):
    """Options of BigGAN-deep; the defaults are the paper's for 128x128."""

    z_dim: int = Field(128, gt=0, description="Latent size.")
    channels: int = Field(128, gt=0, description="The paper's ch: all widths are multiples of it.")


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return spectral_norm(conv)


def _bottleneck(in_channels: int, out_channels: int, hidden: int) -> nn.ModuleList:
    return nn.ModuleList(
        [
            _conv(in_channels, hidden, 1),
            _conv(hidden, hidden, 3),
            _conv(hidden, hidden, 3),
            _conv(hidden, out_channels, 1),
        ]
    )


class DeepUpBlock(nn.Module):
    """1x1, 3x3, 3x3, 1x1, each behind a conditional batch norm and a ReLU.

    Args:
        in_channels: channels of the input; the two 3x3 convolutions have a fourth of them.
        out_channels: of the output, at most as many.
        cond_dim: size of the condition.
        norm_eps: added to the variances of the batch norms.
        upsample: double the size (nearest neighbor) before the first 3x3, or keep it.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, cond_dim: int, norm_eps: float, upsample: bool
    ) -> None:
        super().__init__()
        self.out_channels, self.upsample = out_channels, upsample
        hidden = max(1, in_channels // _BOTTLENECK)
        self.convs = _bottleneck(in_channels, out_channels, hidden)
        self.norms = nn.ModuleList(
            ConditionalBatchNorm2d(channels, cond_dim, spectral=True, eps=norm_eps)
            for channels in (in_channels, hidden, hidden, hidden)
        )

    def _enlarge(self, x: Tensor) -> Tensor:
        return upsample_nearest(x) if self.upsample else x

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """[N, in_channels, H, W] and [N, cond_dim] -> [N, out_channels, H', W']."""
        y = x
        for index, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = relu(norm(y, cond))
            y = conv(self._enlarge(y) if index == 1 else y)
        return y + self._enlarge(x[:, : self.out_channels])


class DeepDownBlock(nn.Module):
    """1x1, 3x3, 3x3, 1x1, each behind a ReLU; further channels of the skip are a 1x1 of its input.

    Args:
        in_channels: channels of the input.
        out_channels: of the output, at least as many; the two 3x3 have a fourth of them.
        downsample: halve the size (mean) before the last 1x1, or keep it.
    """

    def __init__(self, in_channels: int, out_channels: int, *, downsample: bool) -> None:
        super().__init__()
        self.downsample = downsample
        hidden = max(1, out_channels // _BOTTLENECK)
        self.convs = _bottleneck(in_channels, out_channels, hidden)
        more = out_channels - in_channels
        self.more = _conv(in_channels, more, 1) if more else None

    def _shrink(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2) if self.downsample else x

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        y = x
        for index, conv in enumerate(self.convs):
            y = relu(y)
            y = conv(self._shrink(y) if index == 3 else y)
        skip = self._shrink(x)
        if self.more is not None:
            skip = torch.cat([skip, self.more(skip)], dim=1)
        return y + skip


class BigganDeepGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: BigganDeepConfig, spec: ImageSpec, layout: Layout) -> None:
        super().__init__()
        widths = scaled(layout.generator_widths, config.channels)
        self.c_dim = spec.num_classes
        cond_dim = config.z_dim + (config.shared_dim if self.c_dim else 0)
        self.shared = nn.Embedding(self.c_dim, config.shared_dim) if self.c_dim else None
        self.grid = (widths[0], *layout.base)
        size = widths[0] * layout.base[0] * layout.base[1]
        self.project = spectral_norm(nn.Linear(cond_dim, size))
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleList()
        for (before, after), side in zip(pairwise(widths), layout.up_sides(), strict=True):
            for width, upsample in ((before, False), (after, True)):
                block = DeepUpBlock(
                    before, width, cond_dim=cond_dim, norm_eps=config.norm_eps, upsample=upsample
                )
                self.blocks.append(block)
                attends = upsample and side == config.attention
                self.attention.append(attention_or_none(width, attends))
        self.norm = ConditionalBatchNorm2d(widths[-1], 0, eps=config.norm_eps)
        self.to_image = _conv(widths[-1], spec.channels, 3)
        initialize(self, config)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        shared = [] if self.shared is None else [c @ self.shared.weight]
        cond = torch.cat([*shared, z.to(c.dtype)], dim=1)
        x = self.project(cond).reshape(-1, *self.grid)
        for block, attend in zip(self.blocks, self.attention, strict=True):
            x = attend(block(x, cond))
        img: Tensor = self.to_image(self.norm(x).relu()).float().tanh()
        return img


class BigganDeep(BigganFamily[BigganDeepConfig]):
    """BigGAN-deep (Brock, Donahue and Simonyan 2019, appendix B)."""

    name, Config = "biggan_deep", BigganDeepConfig
    paper = "Brock et al. 2019, arXiv:1809.11096"
    example_options = {"z_dim": 6, "channels": 2, "shared_dim": 4, "attention": 8}

    def generator(self, layout: Layout) -> nn.Module:
        """Two bottleneck blocks for each grid; all of z to each."""
        return BigganDeepGenerator(self.config, self.spec, layout)

    def discriminator_layers(self, layout: Layout) -> list[nn.Module]:
        """Two blocks at each resolution, with attention at resolution `attention`."""
        widths = scaled(layout.discriminator_widths, self.config.channels)
        layers: list[nn.Module] = [_conv(self.spec.channels, widths[0], 3)]
        sides = layout.down_sides()
        for index, ((before, after), side) in enumerate(zip(pairwise(widths), sides, strict=False)):
            halves = index < layout.num_down
            layers += [
                DeepDownBlock(before, after, downsample=halves),
                DeepDownBlock(after, after, downsample=False),
                attention_or_none(after, halves and side == self.config.attention),
            ]
        return layers

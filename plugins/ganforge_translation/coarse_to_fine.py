"""The coarse-to-fine generator of pix2pixHD: a global network and a local enhancer; its options.

Source: Wang et al. 2018, arXiv:1711.11585, section 3.1 and appendix; the layer names are the
paper's.
"""

from typing import Literal, TypedDict

import torch
from torch import Tensor, nn

from ganforge.api import ComponentOptions, Field
from ganforge.layers import InstanceNorm, ReflectionPad, ReLU, Upsampling, init_translation
from ganforge_translation.family import UpsamplingOption
from ganforge_translation.networks import ResidualBlock, down, up


class Shape(TypedDict):
    """Arguments of a coarse-to-fine generator that do not depend on its input."""

    num_downs: int
    num_blocks: int
    has_enhancer: bool
    local_blocks: int
    upsampling: Upsampling


class CoarseToFineOptions(ComponentOptions):
    """Options of a generator with a coarse (global) network and, in stage 2, a fine (local) one."""

    enhancers: Literal[0, 1] = Field(
        0, description="0: the coarse network alone, stage 1; 1: with the fine one, stage 2."
    )
    num_downs: int = Field(
        4, ge=1, le=6, description="How many times the coarse network halves the size."
    )
    num_blocks: int = Field(9, ge=0, description="Residual blocks of the coarse network.")
    local_blocks: int = Field(3, ge=0, description="Residual blocks of the fine network.")
    upsampling: UpsamplingOption = "transposed"

    @property
    def shape(self) -> Shape:
        """The options as arguments of the generator."""
        return Shape(
            num_downs=self.num_downs,
            num_blocks=self.num_blocks,
            has_enhancer=self.enhancers == 1,
            local_blocks=self.local_blocks,
            upsampling=self.upsampling,
        )

    @property
    def stride(self) -> int:
        """The sides of an image must be multiples of this."""
        return 1 << (self.num_downs + self.enhancers)


class GlobalNetwork(nn.Module):
    """c7s1-64, d128 ... d1024, R1024 x blocks, u512 ... u64, with 64 as `width`."""

    def __init__(
        self, in_channels: int, width: int, num_downs: int, num_blocks: int, upsampling: Upsampling
    ) -> None:
        super().__init__()
        widths = [width << level for level in range(num_downs + 1)]
        layers = entry(in_channels, width)
        for level in range(num_downs):
            layers += down(widths[level], widths[level + 1])
        layers += [ResidualBlock(widths[-1]) for _ in range(num_blocks)]
        for level in reversed(range(num_downs)):
            layers += up(widths[level + 1], widths[level], upsampling)
        self.layers = nn.Sequential(*layers)

    def forward(self, img: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> features [N, width, H, W]."""
        features: Tensor = self.layers(img)
        return features


class LocalEnhancer(nn.Module):
    """c7s1-32, d64, R64 x blocks, u32, with 32 as `width`; coarse features enter before R64."""

    def __init__(
        self, in_channels: int, width: int, num_blocks: int, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*entry(in_channels, width), *down(width, 2 * width))
        blocks = (ResidualBlock(2 * width) for _ in range(num_blocks))
        self.decoder = nn.Sequential(*blocks, *up(2 * width, width, upsampling))

    def forward(self, img: Tensor, coarse: Tensor) -> Tensor:
        """Image [N, in_channels, H, W], coarse features [N, 2 width, H/2, W/2] -> [N, width, H, W].

        The coarse features are those of the global network.
        """
        features: Tensor = self.decoder(self.encoder(img) + coarse)
        return features


class CoarseToFine(nn.Module):
    """The global network alone, or at half the size inside of the local enhancer.

    The tensors of the global network have the same names and shapes in both forms, so that the
    second starts from the first. The layers to the image differ, and so do their names.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        *,
        num_downs: int = 4,
        num_blocks: int = 9,
        has_enhancer: bool = False,
        local_blocks: int = 3,
        upsampling: Upsampling = "transposed",
    ) -> None:
        """Build it; `width` is that of the global network, twice that of the enhancer."""
        super().__init__()
        self.global_network = GlobalNetwork(in_channels, width, num_downs, num_blocks, upsampling)
        self.enhancer: LocalEnhancer | None = None
        if has_enhancer:
            self.enhancer = LocalEnhancer(in_channels, width // 2, local_blocks, upsampling)
            self.enhancer_to_image = to_image(width // 2, out_channels)
        else:
            self.global_to_image = to_image(width, out_channels)
        self.apply(init_translation)

    def forward(self, source: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> float32 [N, out_channels, H, W] in [-1, 1]."""
        if self.enhancer is None:
            return torch.tanh(self.global_to_image(self.global_network(source)).float())
        features = self.enhancer(source, self.global_network(half_size(source)))
        return torch.tanh(self.enhancer_to_image(features).float())


def half_size(img: Tensor) -> Tensor:
    """Images [N, C, H, W] at half the height and width, as the global network sees them."""
    return nn.functional.avg_pool2d(img, 3, 2, 1, count_include_pad=False)


def entry(in_channels: int, width: int) -> list[nn.Module]:
    """c7s1-64, with 64 as `width`."""
    return [ReflectionPad(3), nn.Conv2d(in_channels, width, 7), InstanceNorm(), ReLU()]


def to_image(width: int, out_channels: int) -> nn.Sequential:
    """c7s1-3, without norm and activation, with 3 as `out_channels`."""
    return nn.Sequential(ReflectionPad(3), nn.Conv2d(width, out_channels, 7))

"""BigGAN. Source: Brock et al. 2019, arXiv:1809.11096, appendix B (figure 15, tables 4 to 6).

Deviations from the paper: any base grid of at least 4 pixels a side in place of 4x4; without
labels, the blocks are conditioned by their part of z alone.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganforge.api import ConfigError, ImageSpec, Objective
from ganforge.layers import (
    ConditionalBatchNorm2d,
    ResidualDownBlock,
    ResidualUpBlock,
    spectral_norm,
)
from ganforge_biggan.family import (
    BigganFamily,
    BigganFamilyConfig,
    Layout,
    attention_or_none,
    initialize,
    scaled,
)


class BigganConfig(BigganFamilyConfig):
    """Options of BigGAN; the defaults are the paper's for 128x128."""


class BigganGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W] in [-1, 1].

    z is cut into equal parts: one for the first layer, and one for each block, where it joins the
    class embedding that all blocks share.
    """

    def __init__(self, config: BigganConfig, spec: ImageSpec, layout: Layout) -> None:
        super().__init__()
        widths = scaled(layout.generator_widths, config.channels)
        self.c_dim, self.num_parts = spec.num_classes, layout.doublings + 1
        part = config.z_dim // self.num_parts
        cond_dim = part + (config.shared_dim if self.c_dim else 0)
        self.shared = nn.Embedding(self.c_dim, config.shared_dim) if self.c_dim else None
        self.grid = (widths[0], *layout.base)
        self.project = spectral_norm(nn.Linear(part, widths[0] * layout.base[0] * layout.base[1]))
        self.blocks = nn.ModuleList(
            ResidualUpBlock(
                before, after, cond_dim=cond_dim, spectral=True, norm_eps=config.norm_eps
            )
            for before, after in pairwise(widths)
        )
        self.attention = nn.ModuleList(
            attention_or_none(width, side == config.attention)
            for width, side in zip(widths[1:], layout.up_sides(), strict=True)
        )
        self.norm = ConditionalBatchNorm2d(widths[-1], 0, eps=config.norm_eps)
        self.to_image = spectral_norm(nn.Conv2d(widths[-1], spec.channels, 3, padding=1))
        initialize(self, config)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        parts = z.chunk(self.num_parts, dim=1)
        x = self.project(parts[0]).reshape(-1, *self.grid)
        # One-hot rows times the table: a class may also be a mixture.
        shared = [] if self.shared is None else [c @ self.shared.weight]
        for block, attend, part in zip(self.blocks, self.attention, parts[1:], strict=True):
            x = attend(block(x, torch.cat([*shared, part.to(c.dtype)], dim=1)))
        img: Tensor = self.to_image(self.norm(x).relu()).float().tanh()
        return img


class Biggan(BigganFamily[BigganConfig]):
    """BigGAN (Brock, Donahue and Simonyan 2019)."""

    name, Config = "biggan", BigganConfig
    paper = "Brock et al. 2019, arXiv:1809.11096"
    example_options = {"z_dim": 6, "channels": 2, "shared_dim": 4, "attention": 8}

    def check(self, objective: Objective) -> None:
        """Refuse, beside what the family refuses, a z that cannot be cut into equal parts."""
        num_parts = Layout(self.config, self.spec, self.name).doublings + 1
        if self.z_dim % num_parts:
            raise ConfigError(
                f"model.z_dim={self.z_dim}: 'biggan' cuts z into {num_parts} equal parts at "
                f"{self.spec.height}x{self.spec.width}, one for the first layer and one for each "
                f"block. Use a multiple of {num_parts}, such as {20 * num_parts} (20 a part, as in "
                f"the paper)."
            )
        super().check(objective)

    def generator(self, layout: Layout) -> nn.Module:
        """A block for each grid, and a part of z for each block."""
        return BigganGenerator(self.config, self.spec, layout)

    def discriminator_layers(self, layout: Layout) -> list[nn.Module]:
        """Residual blocks, with attention at resolution `attention`."""
        widths = scaled(layout.discriminator_widths, self.config.channels)
        layers: list[nn.Module] = []
        steps = zip([self.spec.channels, *widths], widths, layout.down_sides(), strict=False)
        for index, (before, after, side) in enumerate(steps):
            halves = index < layout.num_down
            layers += [
                ResidualDownBlock(
                    before, after, downsample=halves, first=index == 0, spectral=True, wide=True
                ),
                attention_or_none(after, halves and side == self.config.attention),
            ]
        return layers
